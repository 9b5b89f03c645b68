/** Downloads of several images share memory that is used again: no byte of one is ever seen in another. */
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

const CHUNK_BYTES = 256 * 1024;
const ROUNDS = 12;
const AT_ONCE = 6;

/** What a registry does wrong now and then. */
const FAULTS: readonly Fault[] = [
  { kind: "truncate", afterBytes: 70_000, times: 2 },
  { kind: "truncate", afterBytes: 0, times: 3 },
  { kind: "status", status: 503, times: 2 },
  { kind: "shift", times: 1 },
  { kind: "extend", bytes: 1000, times: 2 },
  { kind: "whole", times: 1 },
];

Deno.test("bytes of one image never show up in another one, whatever breaks off and whoever gives memory back when", async () => {
  await using registry = startRegistry();
  using client = new RegistryClient({
    retry: { retries: 4, minWaitMs: 1, maxWaitMs: 5 },
  });
  const folder = await Deno.makeTempDir();
  const random = randomFrom(20_260_301);
  const gates = new WholeGates({ ...FAST_LIMITS, chunkBytes: CHUNK_BYTES });
  const ends = { whole: 0, left: 0, failed: 0 };
  /** By memory: the image whose bytes it held last. */
  const memory = new Map<ArrayBuffer, number>();
  let ofOthers = 0;

  const take = async (id: number): Promise<void> => {
    const bytes = noise(1 + random(12 * CHUNK_BYTES), id);
    const { digest } = registry.addBlob(`a/${id % 5}`, bytes);
    const path = `${folder}/${id}`;
    const stop = new AbortController();
    const leaveAt = random(3) === 0 ? random(bytes.length) : Infinity;
    const isKept = random(3) === 0;
    const waiting: { piece: Uint8Array<ArrayBuffer>; at: number }[] = [];
    const assertRight = ({ piece, at }: typeof waiting[number]) =>
      assert.ok(
        Buffer.compare(piece, bytes.subarray(at, at + piece.length)) === 0,
        `image ${id}: other bytes at ${at}`,
      );
    using download = new WholeDownload({
      ...{ client, gates, path, isKept, signal: stop.signal },
      repository: { host: registry.host, repository: `a/${id % 5}` },
      blob: { digest: parseDigest(digest), size: bytes.length },
      ...{ room: () => 1e9, chunkBytes: CHUNK_BYTES, atOnce: 1 + random(4) },
      requester: { image: `${id}`, host: registry.host },
    });
    let at = 0;
    try {
      for await (const piece of download.pieces()) {
        const read = { piece, at };
        if ((memory.get(piece.buffer) ?? id) !== id) ofOthers++;
        memory.set(piece.buffer, id);
        assertRight(read);
        waiting.push(read);
        at += piece.length;
        if (at >= leaveAt) {
          if (random(2) === 0) stop.abort(new Error("given up"));
          break;
        }
        for (let turns = random(4); turns > 0; turns--) await setImmediate();
        while (waiting.length > random(3)) {
          const [done] = waiting.splice(random(waiting.length), 1);
          assertRight(done!); // nobody has written into it meanwhile
          if (random(8) > 0) download.give(done!.piece);
        }
      }
      for (const one of waiting) assertRight(one);
      if (at < bytes.length) ends.left++;
      else {
        ends.whole++;
        await download.done;
        if (isKept) {
          assert.ok(Buffer.compare(await Deno.readFile(path), bytes) === 0);
        }
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      ends.failed++; // its registry gave nothing
    }
    download[Symbol.dispose]();
    for (const one of waiting.splice(0)) {
      assertRight(one);
      download.give(one.piece);
    }
    await download.done.catch(() => {});
  };

  try {
    for (let round = 0; round < ROUNDS; round++) {
      registry.faults.clear();
      for (let i = random(4); i > 0; i--) {
        registry.faults.add(FAULTS[random(FAULTS.length)]!);
      }
      const first = round * AT_ONCE;
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, i) => take(first + i + 1)),
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  // Where nothing came through, or no memory of another image was used again, nothing would be proven.
  assert.ok(ends.whole > ROUNDS, JSON.stringify(ends));
  assert.ok(ends.left > 0, JSON.stringify(ends));
  assert.ok(ofOthers > ROUNDS, `${ofOthers} times`);
});
