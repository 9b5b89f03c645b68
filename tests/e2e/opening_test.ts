/**
 * What opening layers may cost a daemon: whatever a ztoc lists and however many layers an image has, the
 * daemon answers meanwhile, and takes no more than it says.
 */
import assert from "node:assert/strict";
import { askStatus } from "../../lib/host/control/mod.ts";
import { ZtocBuilder } from "../../lib/formats/ztoc/mod.ts";
import { encodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { pause } from "../support/host/mod.ts";
import {
  type Image,
  layerBlob,
  longZtoc,
  makeImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { addIndexedImage } from "../support/images/indexed.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { LazyHost } from "./host.ts";
import { chainIds, LayerClient } from "./layer_client.ts";

const MiB = 2 ** 20;
const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;
/** A ztoc of 109 MB: within all limits of the format. */
const MANY_FILES = 545_000;
/** `status` answers within so long, whatever is being opened, ms. */
const STATUS_MS = 1000;
/** Layers opened ahead of need, and those of the first. */
const MAX_AHEAD = 64;

let seed = 0;

/** A layer of one small file. */
function tinyLayer() {
  const tar = new TarBuilder().file(`file-${++seed}`, `text ${seed}`);
  return layerBlob(tar);
}

/** The most memory a process has ever had, bytes. */
function peakBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** Asks for the status until it is told to stop. @returns how long each answer took, ms. */
function askAllTheTime(root: string): () => Promise<number[]> {
  let isOver = false;
  const took: number[] = [];
  const asking = (async () => {
    while (!isOver) {
      const began = performance.now();
      const status = await askStatus(`${root}/control.sock`);
      took.push(performance.now() - began);
      assert.ok(status !== null);
      await pause(20);
    }
  })();
  return async () => {
    isOver = true;
    await asking;
    return took;
  };
}

/** An image of one layer with a long list of files. */
function longImage(registry: TestRegistry, name: string, files: number): Image {
  const layer = tinyLayer();
  const image = makeImage({ layers: [layer] });
  addIndexedImage(registry, name, image, [longZtoc(files, layer)]);
  return image;
}

Deno.test("while a ztoc of 109 MB is opened, status is answered, and memory stays within what is allowed", async () => {
  await using registry = startRegistry();
  const image = longImage(registry, "long:1", MANY_FILES);
  await using host = await LazyHost.start({
    config: `${CONFIG}[opening]\nmax_memory_bytes = ${1536 * MiB}\n`,
  });
  using client = new LayerClient(host.socket);
  const before = peakBytes(host.pid);
  const stop = askAllTheTime(host.root);
  const began = performance.now();
  const isServed = await client.prepare(
    `${registry.host}/long:1`,
    image,
    chainIds(image),
    0,
  );
  const ms = performance.now() - began;
  const took = await stop();
  const peak = peakBytes(host.pid) - before;
  console.log(
    `    opened in ${
      Math.round(ms)
    } ms; ${took.length} answers, the longest after ${
      Math.round(Math.max(...took))
    } ms; ${Math.round(peak / MiB)} MiB more`,
  );
  assert.ok(isServed, host.logs().slice(-3000));
  assert.ok(took.length > 5, `${took.length} answers`);
  // A slow machine is slow at both: where the work holds the main thread, no answer comes before its end.
  const bound = Math.max(STATUS_MS, ms / 4);
  assert.ok(Math.max(...took) < bound, `${Math.max(...took)} ms`);
  assert.ok(peak < 1536 * MiB, `${peak} bytes`);
});

Deno.test("a ztoc that would take more than is allowed leaves its layer to containerd, and a line says so", async () => {
  await using registry = startRegistry();
  const image = longImage(registry, "long:1", 60_000);
  await using host = await LazyHost.start({
    config: `${CONFIG}[opening]\nmax_memory_bytes = ${32 * MiB}\n`,
  });
  using client = new LayerClient(host.socket);
  const reference = `${registry.host}/long:1`;
  assert.ok(!await client.prepare(reference, image, chainIds(image), 0));
  assert.match(
    host.logs(),
    /containerd unpacks it.*max_memory_bytes allows 32 MiB: the layer is not served lazily/,
  );
  const { layers } = await askStatus(`${host.root}/control.sock`) as {
    layers: unknown[];
  };
  assert.deepEqual(layers, []);
});

/** Files of a folder of a process or of a mount table that match. */
function mountsBelow(folder: string): number {
  return Deno.readTextFileSync("/proc/self/mountinfo").split("\n")
    .filter((line) => line.includes(` ${folder}/`)).length;
}

const descriptors = (pid: number) =>
  [...Deno.readDirSync(`/proc/${pid}/fd`)].length;

Deno.test("of an image of 1500 layers a bounded number is opened ahead", async () => {
  await using registry = startRegistry();
  const layers = Array.from({ length: 1500 }, tinyLayer);
  const image = makeImage({ layers });
  const ztocs = layers.map(({ bytes }) => {
    const builder = new ZtocBuilder({
      compression: "gzip",
      spanSize: 4 * MiB,
    });
    builder.push(bytes);
    return encodeZtoc(builder.finish().ztoc);
  });
  addIndexedImage(registry, "deep:1", image, ztocs);
  await using host = await LazyHost.start({ config: CONFIG });
  using client = new LayerClient(host.socket);
  const before = descriptors(host.pid);
  const mounts = mountsBelow(host.root);
  const reference = `${registry.host}/deep:1`;
  const chain = chainIds(image);
  const opened = () => mountsBelow(host.root) - mounts;
  for (const asked of [1, 2]) {
    assert.ok(await client.prepare(reference, image, chain, asked - 1));
    for (let i = 0; i < 200 && opened() < asked + MAX_AHEAD; i++) {
      await pause(50);
    }
    await pause(500); // what is not bounded goes on
    const more = descriptors(host.pid) - before;
    console.log(`    ${opened()} mounts, ${more} descriptors more`);
    assert.ok(opened() > MAX_AHEAD / 2, "some are opened ahead");
    assert.ok(opened() <= asked + MAX_AHEAD, `${opened()} mounts`);
    assert.ok(more < 4 * (asked + MAX_AHEAD) + 50, `${more} descriptors`);
  }
});

Deno.test("an image of 10 000 layers is left to containerd, and a line says why", async () => {
  await using registry = startRegistry();
  const layer = tinyLayer();
  const image = makeImage({
    layers: Array.from({ length: 10_000 }, () => layer),
  });
  addIndexedImage(registry, "endless:1", image, [longZtoc(1, layer)]);
  await using host = await LazyHost.start({ config: CONFIG });
  using client = new LayerClient(host.socket);
  const reference = `${registry.host}/endless:1`;
  assert.ok(!await client.prepare(reference, image, chainIds(image), 0));
  assert.match(host.logs(), /it has 10000 layers, and no more than 2048/);
});
