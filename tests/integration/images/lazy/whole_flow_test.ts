/** Layers of several images come and are read at a time, by a few Workers: all of them end, whatever happens to some. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { WholeDownload } from "../../../../lib/images/lazy/whole_download.ts";
import {
  FAST_LIMITS,
  WholeGates,
} from "../../../../lib/images/lazy/whole_limits.ts";
import { parseDigest } from "../../../../lib/formats/oci/mod.ts";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";
import { randomFrom } from "../../../fuzz/mod.ts";
import {
  type Fault,
  noise,
  startRegistry,
} from "../../../support/registry/mod.ts";

const MIB = 2 ** 20;
const CHUNK_BYTES = 4 * MIB;
const ROUNDS = 8;
const LAYERS = 9;

/** What a registry does wrong now and then. */
const FAULTS: readonly Fault[] = [
  { kind: "stall", afterBytes: 100_000, times: 2 },
  { kind: "silence", times: 2 },
  { kind: "truncate", afterBytes: 70_000, times: 2 },
  { kind: "status", status: 503, times: 2 },
  { kind: "status", status: 404, times: 1 },
  { kind: "whole", times: 1 },
];

Deno.test("layers of several images end, one way or another, and leave no place taken, whatever hangs, fails, breaks off, is given up, kept or gone on from", async () => {
  await using registry = startRegistry();
  await using other = startRegistry();
  using client = new RegistryClient({
    retry: { retries: 2, minWaitMs: 1, maxWaitMs: 5 },
    timeouts: { idleMs: 200, headersMs: 200 },
  });
  const folder = await Deno.makeTempDir();
  const random = randomFrom(20_261_130);
  const gates = new WholeGates({
    ...{ ...FAST_LIMITS, chunkBytes: CHUNK_BYTES },
    ...{ unpacks: 2, unpacksPerImage: 2 },
  });
  const ends = { whole: 0, left: 0, failed: 0, resumed: 0, filed: 0 };

  const take = async (id: number): Promise<void> => {
    const { host, addBlob } = random(4) === 0
      ? { host: other.host, addBlob: other.addBlob.bind(other) }
      : { host: registry.host, addBlob: registry.addBlob.bind(registry) };
    const size = random(4) === 0 ? 1 + random(MIB) : 1 + random(30 * MIB);
    const bytes = noise(size, id);
    const { digest } = addBlob("a/b", bytes);
    const isKept = random(4) === 0;
    const image = `image ${id % 3}`;
    const path = `${folder}/${id}`;
    for (let tries = isKept ? 2 : 1; tries > 0; tries--) {
      const stop = new AbortController();
      const leaveAt = random(4) === 0 ? random(size) : Infinity;
      if (random(8) === 0) setTimeout(() => stop.abort(), random(100));
      using download = new WholeDownload({
        ...{ client, gates, path, isKept, isResumed: isKept },
        repository: { host, repository: "a/b" },
        blob: { digest: parseDigest(digest), size },
        ...{ room: () => 1e9, chunkBytes: CHUNK_BYTES, atOnce: 16 },
        requester: { image, host },
        signal: stop.signal,
      });
      if (download.foundBytes > 0) ends.resumed++;
      try {
        await gates.unpack({ image, sizeBytes: size }, async () => {
          download.activate();
          let at = 0;
          for await (const piece of download.pieces()) {
            const wanted = bytes.subarray(at, at + piece.length);
            assert.ok(Buffer.compare(piece, wanted) === 0, `layer ${id}`);
            at += piece.length;
            for (let turns = random(20); turns > 0; turns--) {
              await setImmediate();
            }
            download.give(piece);
            if (at >= leaveAt) break;
          }
          if (at < size) ends.left++;
          else ends.whole++;
        });
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        ends.failed++;
      }
      if (!isKept && await Deno.lstat(path).catch(() => null)) ends.filed++;
      download[Symbol.dispose]();
      await download.done.catch(() => {});
    }
  };

  try {
    for (let round = 0; round < ROUNDS; round++) {
      registry.faults.clear();
      for (let i = random(5); i > 0; i--) {
        registry.faults.add(FAULTS[random(FAULTS.length)]!);
      }
      other.ranges = random(2) === 0
        ? { kind: "ignored" }
        : { kind: "refused", status: 416 };
      await Promise.all(
        Array.from({ length: LAYERS }, (_, i) => take(round * LAYERS + i + 1)),
      );
      assert.equal(gates.placeBytes, 0, `round ${round}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  // Where nothing of a kind happened nothing would be proven.
  const told = JSON.stringify(ends);
  assert.ok(ends.whole > 2 * ROUNDS, told);
  assert.ok(ends.left > 0 && ends.failed > 0 && ends.resumed > 0, told);
});
