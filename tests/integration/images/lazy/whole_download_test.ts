/** A blob that comes by several requests and is read in order meanwhile: from memory, from its file, or both. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { WholeDownload } from "../../../../lib/images/lazy/whole_download.ts";
import {
  FAST_LIMITS,
  WholeGates,
} from "../../../../lib/images/lazy/whole_limits.ts";
import { parseDigest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";
import {
  noise,
  type RangeStyle,
  startRegistry,
} from "../../../support/registry/mod.ts";

const CHUNK_BYTES = 2 ** 21 + 1;

/** Takes a blob. */
async function taken(
  { size, ranges, isKept, isAborted = false, readBytes = Infinity }: {
    readonly size: number;
    readonly ranges: RangeStyle;
    readonly isKept: boolean;
    readonly isAborted?: boolean;
    /** So many bytes are read; then it is left. */
    readonly readBytes?: number;
  },
): Promise<{ right: boolean; file: "none" | "right" | "part"; room: boolean }> {
  await using registry = startRegistry();
  registry.ranges = ranges;
  const folder = await Deno.makeTempDir();
  using client = new RegistryClient({
    retry: { retries: 2, minWaitMs: 1, maxWaitMs: 20 },
  });
  const bytes = noise(size, 7);
  const { digest } = registry.addBlob("a/b", bytes);
  const gates = new WholeGates(FAST_LIMITS);
  const stop = new AbortController();
  const path = `${folder}/blob`;
  try {
    let at = 0;
    let right = true;
    {
      using download = new WholeDownload({
        ...{ client, gates, path, isKept, signal: stop.signal },
        repository: { host: registry.host, repository: "a/b" },
        blob: { digest: parseDigest(digest), size },
        ...{ room: () => 1e9, chunkBytes: CHUNK_BYTES, atOnce: 4 },
        requester: { image: "a", host: registry.host },
      });
      try {
        for await (const piece of download.pieces()) {
          const same = Buffer.compare(
            piece,
            bytes.subarray(at, at + piece.length),
          );
          right &&= same === 0;
          at += piece.length;
          if (isAborted) stop.abort(new Error("given up"));
          if (at >= readBytes) break;
        }
      } catch (error) {
        assert.ok(isAborted, String(error));
      }
      if (!isAborted) await download.done;
      else await download.done.catch(() => {});
    }
    const file = await Deno.readFile(path).catch(() => null);
    return {
      right: right && (isAborted || at >= Math.min(size, readBytes)),
      file: file === null
        ? "none"
        : Buffer.compare(file, bytes) === 0
        ? "right"
        : "part",
      room: gates.placeBytes === 0,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const STYLES: readonly RangeStyle[] = [
  { kind: "served" },
  { kind: "ignored" },
  { kind: "refused", status: 416 },
];

for (const ranges of STYLES) {
  for (const size of [0, 700_000, 5 * CHUNK_BYTES + 5]) {
    Deno.test(`a blob of ${size} bytes is read as it is, and its file has all of it where it is kept; ranges are ${ranges.kind}`, async () => {
      const kept = await taken({ size, ranges, isKept: true });
      assert.deepEqual(kept, { right: true, file: "right", room: true });
      const { file, ...rest } = await taken({ size, ranges, isKept: false });
      assert.deepEqual(rest, { right: true, room: true });
      if (size < CHUNK_BYTES) assert.equal(file, "none");
    });
  }
}

Deno.test("a blob that is given up, or not read to its end, leaves no memory taken", async () => {
  const size = 9 * CHUNK_BYTES;
  const ranges = { kind: "served" } as const;
  for (const more of [{ isAborted: true }, { readBytes: CHUNK_BYTES }]) {
    const { right, room } = await taken({
      ...{ size, ranges, isKept: false },
      ...more,
    });
    assert.deepEqual({ right, room }, { right: true, room: true });
  }
});

for (
  const [what, chunkBytes, ranges] of [
    ["parts", CHUNK_BYTES, { kind: "served" }],
    ["one request", Infinity, { kind: "served" }],
    ["one request where parts are refused", CHUNK_BYTES, {
      kind: "refused",
      status: 416,
    }],
  ] as const
) {
  Deno.test(`a kept blob that came in ${what} goes on from what is in its file, and what is not whole there comes again`, async () => {
    await using registry = startRegistry();
    registry.ranges = ranges;
    const folder = await Deno.makeTempDir();
    using client = new RegistryClient({ retry: { retries: 0, minWaitMs: 1 } });
    const bytes = noise(5 * CHUNK_BYTES + 5, 7);
    const { digest } = registry.addBlob("a/b", bytes);
    const path = `${folder}/blob`;
    const open = (signal: AbortSignal) =>
      new WholeDownload({
        ...{ client, path, signal, isKept: true, isResumed: true },
        gates: new WholeGates(FAST_LIMITS),
        repository: { host: registry.host, repository: "a/b" },
        blob: { digest: parseDigest(digest), size: bytes.length },
        ...{ room: () => 1e9, chunkBytes, atOnce: 1 },
        requester: { image: "a", host: registry.host },
      });
    const asked = () =>
      registry.requests.filter(({ path }) => path.endsWith(digest))
        .map(({ range }) => range);
    {
      const stop = new AbortController();
      using download = open(stop.signal);
      assert.equal(download.foundBytes, 0);
      let read = 0;
      await assert.rejects(async () => {
        for await (const piece of download.pieces()) {
          read += piece.length;
          if (read > 2 * CHUNK_BYTES) stop.abort(new Error("killed"));
        }
      });
      await download.done.catch(() => {});
    }
    const before = asked().length;
    // What a process that was killed may leave: a number that was not finished.
    Deno.writeTextFileSync(`${path}.parts`, "4", { append: true });
    {
      using download = open(new AbortController().signal);
      const { foundBytes } = download;
      const isByParts = chunkBytes === CHUNK_BYTES && ranges.kind === "served";
      if (isByParts) assert.ok(foundBytes >= 2 * CHUNK_BYTES, `${foundBytes}`);
      const all: Uint8Array[] = [];
      for await (const piece of download.pieces()) all.push(piece.slice());
      assert.equal(Buffer.compare(Buffer.concat(all), bytes), 0);
      const again = asked().slice(before);
      if (isByParts) {
        const earlier = new Set(asked().slice(0, before - 1));
        assert.ok(!again.some((range) => earlier.has(range)), `${again}`);
      } else if (foundBytes > 0) {
        assert.match(again[0]!, new RegExp(`bytes=${foundBytes}-`));
      }
    }
    {
      const count = asked().length;
      using download = open(new AbortController().signal);
      if (ranges.kind === "served") {
        assert.equal(download.foundBytes, bytes.length);
        for await (const _ of download.pieces());
        assert.equal(asked().length, count, "all of it is here");
      }
      await download.done;
    }
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("a reader that gives the memory of pieces back gets it again, with the right bytes in it", async () => {
  await using registry = startRegistry();
  using client = new RegistryClient();
  const size = 12 * CHUNK_BYTES + 5;
  const bytes = noise(size, 3);
  const { digest } = registry.addBlob("a/b", bytes);
  const gates = new WholeGates({ ...FAST_LIMITS, chunkBytes: CHUNK_BYTES });
  const folder = await Deno.makeTempDir();
  const buffers = new Set<ArrayBuffer>();
  let at = 0;
  try {
    using download = new WholeDownload({
      ...{ client, gates, path: `${folder}/blob`, isKept: false },
      repository: { host: registry.host, repository: "a/b" },
      blob: { digest: parseDigest(digest), size },
      ...{ room: () => 1e9, chunkBytes: CHUNK_BYTES, atOnce: 2 },
      requester: { image: "a", host: registry.host },
      signal: new AbortController().signal,
    });
    for await (const piece of download.pieces()) {
      assert.equal(
        Buffer.compare(piece, bytes.subarray(at, at + piece.length)),
        0,
      );
      at += piece.length;
      buffers.add(piece.buffer);
      download.give(piece);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  assert.equal(at, size);
  // Its reader is as fast as its requests.
  assert.ok(buffers.size <= 10, `${buffers.size} of 13`);
  assert.ok([...buffers].every(({ detached }) => detached));
});

Deno.test("a download that cannot begin keeps no memory for others", async () => {
  using client = new RegistryClient();
  const gates = new WholeGates({ ...FAST_LIMITS, chunkBytes: CHUNK_BYTES });
  const folder = await Deno.makeTempDir();
  const bytes = noise(4 * CHUNK_BYTES, 3);
  assert.throws(() =>
    new WholeDownload({
      ...{ client, gates, path: `${folder}/none/blob`, isKept: true },
      ...{ isResumed: true, signal: new AbortController().signal },
      repository: { host: "registry.example", repository: "a/b" },
      blob: { digest: sha256(bytes), size: bytes.length },
      ...{ room: () => 1e9, chunkBytes: CHUNK_BYTES, atOnce: 2 },
      requester: { image: "a", host: "registry.example" },
    })
  );
  const memory = gates.take(CHUNK_BYTES);
  gates.give(memory);
  assert.ok(memory.buffer.detached);
  await Deno.remove(folder, { recursive: true });
});
