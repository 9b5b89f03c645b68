import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  RegistryBlobs,
  type RegistrySpanSource,
} from "../../../../lib/images/lazy/source.ts";
import { NoRoomError } from "../../../../lib/images/lazy/whole_stream.ts";
import {
  fetchInTime,
  NotYetHere,
} from "../../../../lib/layers/spans/source.ts";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";
import {
  noise,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from "../../../support/registry/mod.ts";

const SIZE = 6_000_000;

interface Scene {
  readonly registry: TestRegistry;
  readonly source: RegistrySpanSource;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: string;
  readonly folder: string;
  readonly blobs: RegistryBlobs;
  /** Reads a part, waiting for it, and compares it. */
  read(start: number, end: number): Promise<void>;
  /** Requests for all of a blob. */
  wholes(): number;
}

function scene(
  name: string,
  body: (scene: Scene) => Promise<void>,
  options: { registry?: RegistryOptions; size?: number } = {},
): void {
  Deno.test(name, async () => {
    await using registry = startRegistry(options.registry);
    registry.ranges = { kind: "ignored" };
    const folder = await Deno.makeTempDir();
    using client = new RegistryClient({
      retry: { retries: 2, minWaitMs: 1, maxWaitMs: 20 },
      timeouts: { headersMs: 2000, idleMs: 2000 },
    });
    const bytes = noise(SIZE, 5);
    const { digest } = registry.addBlob("a/b", bytes);
    const blobs = new RegistryBlobs(client, `${folder}/ingest`);
    const place = { host: registry.host, repository: "a/b" };
    using source = blobs.source(place, digest, () => options.size ?? SIZE);
    const read = async (start: number, end: number) => {
      const into = new Uint8Array(end - start);
      const { signal } = new AbortController();
      await fetchInTime(source, { start, end }, into, signal);
      assert.equal(Buffer.compare(into, bytes.subarray(start, end)), 0);
    };
    const wholes = () =>
      registry.requests.filter(({ method, range, path }) =>
        method === "GET" && range === null && path.includes("/blobs/")
      ).length;
    try {
      await body({
        registry,
        source,
        bytes,
        digest,
        folder,
        blobs,
        read,
        wholes,
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

for (
  const ranges of [
    { kind: "ignored" },
    { kind: "unlabelled" },
    { kind: "multipart" },
    { kind: "refused", status: 400 },
    { kind: "refused", status: 403 },
    { kind: "refused", status: 416 },
    { kind: "refused", status: 422 },
    { kind: "refused", status: 500 },
    { kind: "refused", status: 501 },
  ] as const
) {
  scene(
    `all readers share one download where parts are ${JSON.stringify(ranges)}`,
    async ({ registry, read, wholes }) => {
      registry.ranges = ranges;
      await Promise.all([
        read(SIZE - 10, SIZE),
        read(0, 10),
        read(3_000_000, 4_000_000),
        read(10, 2_000_000),
      ]);
      await read(1_000_000, 5_000_000);
      assert.equal(wholes(), 1);
      assert.ok(
        registry.requests.filter(({ range }) => range !== null).length <= 12,
      );
    },
  );
}

for (const form of ["206", "200", "compressed", "417"] as const) {
  scene(
    `all readers share one download where a part comes as the whole: ${form}`,
    async ({ registry, read, bytes }) => {
      let wholes = 0;
      const packed = await new Response(
        new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip")),
      ).bytes();
      registry.intercept = (path, { headers }) => {
        if (!path.includes("/blobs/")) return null;
        const asked = headers.has("range");
        if (!asked) wholes++;
        if (form === "compressed") {
          return new Response(packed, {
            headers: { "content-encoding": "gzip" },
          });
        }
        if (!asked) return null;
        if (form === "417") return new Response(null, { status: 417 });
        return new Response(bytes, {
          status: Number(form),
          headers: {
            "content-range": `bytes 0-${SIZE - 1}/${SIZE}`,
          },
        });
      };
      await Promise.all([read(SIZE - 10, SIZE), read(0, 10)]);
      await read(1_000_000, 5_000_000);
      assert.equal(wholes, 1);
    },
  );
}

scene(
  "the next layer of the repository is not asked for by parts first",
  async ({ registry, read, blobs }) => {
    await read(0, 10);
    registry.requests.length = 0;
    const { digest } = registry.addBlob("a/b", noise(1000, 6));
    using source = blobs.source(
      { host: registry.host, repository: "a/b" },
      digest,
      () => 1000,
    );
    const into = new Uint8Array(10);
    await source.fetch(500, 510, into, new AbortController().signal);
    assert.deepEqual(registry.requests.map(({ range }) => range), [null]);
  },
);

scene(
  "readers are served while the rest is still on its way",
  async ({ registry, read, source }) => {
    // The registry sends the beginning and then nothing, with the connection open.
    registry.faults.add({ kind: "stall", afterBytes: 2_000_000, times: 1 });
    await read(0, 1_000_000);
    await assert.rejects(
      source.fetch(
        SIZE - 10,
        SIZE,
        new Uint8Array(10),
        new AbortController().signal,
      ),
      NotYetHere,
    );
    await read(0, 10);
    await read(SIZE - 10, SIZE); // after the stall it goes on
  },
);

scene("progress is told as bytes come", async ({ source }) => {
  const told: number[] = [];
  await source.fetch(
    0,
    1_500_000,
    new Uint8Array(1_500_000),
    new AbortController().signal,
    (filled) => told.push(filled),
  );
  assert.ok(told.length > 1);
  assert.equal(told.at(-1), 1_500_000);
  assert.deepEqual(told, [...told].sort((a, b) => a - b));
});

scene(
  "a reader that leaves does not end the others' download",
  async ({ source, read, wholes }) => {
    const leaving = new AbortController();
    const gone = fetchInTime(
      source,
      { start: SIZE - 10, end: SIZE },
      new Uint8Array(10),
      leaving.signal,
    );
    leaving.abort(new Error("enough"));
    await assert.rejects(gone, /enough/);
    await read(SIZE - 10, SIZE);
    assert.equal(wholes(), 1);
  },
);

scene(
  "a download that breaks off goes on, and is the same in the end",
  async ({ registry, read }) => {
    registry.faults.add({ kind: "truncate", afterBytes: 2_000_000, times: 2 });
    await read(0, SIZE - 1);
  },
);

scene(
  "bytes of another digest are not kept, and not asked for without a rest",
  async ({ registry, source, wholes }) => {
    registry.faults.add({ kind: "corrupt" });
    const { signal } = new AbortController();
    const last = () =>
      fetchInTime(
        source,
        { start: SIZE - 10, end: SIZE },
        new Uint8Array(10),
        signal,
      );
    // What came may be read: readers compare it with what they know of it.
    await source.fetch(0, 10, new Uint8Array(10), signal);
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let at = 0; at < 5; at++) await assert.rejects(last(), /digest/);
    assert.equal(wholes(), 1);
  },
);

scene(
  "a blob that is larger or smaller than it is said to be is an error",
  async ({ source, wholes }) => {
    const { signal } = new AbortController();
    for (let at = 0; at < 3; at++) {
      await assert.rejects(
        source.fetch(0, 10, new Uint8Array(10), signal),
        /shorter/,
      );
    }
    assert.ok(wholes() <= 3);
  },
  { size: SIZE + 1 },
);

scene(
  "a login that ended does not make a registry one without parts",
  async ({ registry, source, read, wholes }) => {
    registry.ranges = { kind: "served" };
    registry.intercept = (path) =>
      path.includes("/blobs/") ? new Response(null, { status: 403 }) : null;
    const { signal } = new AbortController();
    await assert.rejects(
      source.fetch(0, 10, new Uint8Array(10), signal),
      /403/,
    );
    registry.intercept = null;
    registry.requests.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 50));
    await read(1000, 2000);
    assert.equal(wholes(), 0);
  },
);

scene(
  "no file is left, and none has a name",
  async ({ source, read, folder }) => {
    await read(0, SIZE - 1);
    assert.deepEqual([...Deno.readDirSync(`${folder}/ingest`)], []);
    source[Symbol.dispose]();
  },
);

scene(
  "a layer that is let go of ends its download",
  async ({ registry, source }) => {
    registry.faults.add({ kind: "stall", afterBytes: 100_000 });
    const { signal } = new AbortController();
    await source.fetch(0, 10, new Uint8Array(10), signal);
    const waiting = fetchInTime(
      source,
      { start: SIZE - 1, end: SIZE },
      new Uint8Array(1),
      signal,
    );
    source[Symbol.dispose]();
    await assert.rejects(waiting, /no longer served/);
  },
);

scene(
  "a blob there is no room for is not begun",
  async ({ source, wholes }) => {
    const { signal } = new AbortController();
    await assert.rejects(
      source.fetch(0, 10, new Uint8Array(10), signal),
      (error) =>
        error instanceof NoRoomError && /free disk/.test(error.message),
    );
    assert.equal(wholes(), 0);
  },
  { size: 2 ** 50 },
);
