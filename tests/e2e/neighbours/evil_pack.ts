/** A neighbour whose start pack holds wrong bytes for a layer that the healthy image has, too. @module */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { ctrRun, pause } from "../../support/host/mod.ts";
import { startRegistry } from "../../support/registry/mod.ts";
import { pushIndexed, ztocOfBlob } from "../forged.ts";
import {
  greedyPrograms,
  type NeighbourKind,
  NEIGHBOURS_CORES,
} from "./stage.ts";

/** The pack holds the first file of the layer's tar, and what is before it; all of it finds room, or nothing. */
const PACKED_BYTES = 256 * 1024;
/** Between two containers, ms. */
const BETWEEN_CONTAINERS_MS = 250;
/** Of the cache's budget, about half the time something is free. */
const TRIES = 30;

/**
 * Its image lies on the healthy one's layer, by the same ztoc, and its index pins a load order whose pack holds
 * other bytes of a file. Its own containers read them, as nothing else of that span is read, with which they would
 * be compared.
 */
export const evilPack: NeighbourKind = async (stage) => {
  await using owned = new AsyncDisposableStack();
  const layer = stage.layers.at(-1)!;
  const registry = owned.use(startRegistry());
  const packed = gunzipSync(layer.bytes).subarray(0, PACKED_BYTES);
  const programs = greedyPrograms("evil pack");
  /** Each time another lie: one that was found out is not believed again. */
  const push = (time: number) =>
    pushIndexed(registry, `evil-pack-${time}`, [
      { layer: programs, ztoc: ztocOfBlob(programs.bytes) },
      { layer, ztoc: stage.ztocs.get(layer.digest)! },
    ], [{
      layer: 1,
      offset: 0,
      bytes: new Uint8Array(packed.map((byte) => byte ^ (time + 1))),
    }]).name;
  let name = "";
  let lies = 0;
  let running = true;
  let done = Promise.resolve();
  /** Has a container of the image read the file; counts when the bytes are wrong. */
  const read = async () => {
    const { code, stdout, stderr } = await ctrRun(stage.host.containerd, {
      image: name,
      id: `evil-pack-${crypto.randomUUID().slice(0, 8)}`,
      snapshotter: "soci",
      flags: [...NEIGHBOURS_CORES],
      args: ["/bin/busybox", "sha256sum", "/data/file-0"],
    });
    assert.equal(code, 0, stderr);
    if (stdout.slice(0, 64) !== stage.known["file-0"]) lies++;
  };
  /** A pack is not brought where the cache has no room: the kernel keeps what was read while there is some. */
  const pullAndRead = async () => {
    const { layers } = await stage.host.pull(name);
    assert.ok(layers.every(({ outcome }) => outcome === "served"));
    await read();
  };
  const rest = owned.move();
  return {
    async spoil() {
      for (let tries = 0; tries < TRIES && lies === 0; tries++) {
        if (tries > 0) {
          await stage.host.containerd.ctr("images", "rm", "--sync", name);
          await pause(BETWEEN_CONTAINERS_MS);
        }
        name = push(tries);
        await stage.atRest(pullAndRead);
      }
      done = (async () => {
        while (running) {
          await read();
          await pause(BETWEEN_CONTAINERS_MS);
        }
      })();
      done.catch(() => {}); // told at the end
    },
    shown: () =>
      lies === 0
        ? null
        : `${lies} containers that read wrong bytes of the healthy layer, by a pinned pack`,
    async [Symbol.asyncDispose]() {
      running = false;
      try {
        await done;
      } finally {
        await rest.disposeAsync();
      }
    },
  };
};
