import assert from "node:assert/strict";
import { tryRun } from "../../../support/host/mod.ts";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import {
  indexed,
  MemorySource,
  type TestLayer,
} from "../../../unit/layers/spans/support.ts";
import { hammer, openStore, readWhole, ztocOf } from "./support.ts";

const MIB = 2 ** 20;
const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A layer of one file of noise, and the file. */
function fileLayer(mib: number, seed = 1): TestLayer & { file: Uint8Array } {
  const file = incompressible(mib * MIB, seed);
  const tar = new TarBuilder().file("file", file);
  return { ...indexed(tar, 256 * 1024), file };
}

async function add(
  store: Awaited<ReturnType<typeof openStore>>["store"],
  layer: TestLayer,
  source = new MemorySource(layer.blob),
) {
  const added = await store.add(layer.digest, ztocOf(layer), source, null);
  await added.shown;
  return added;
}

async function diskBytes(path: string): Promise<number> {
  return (await Deno.stat(path)).blocks! * 512;
}

Deno.test("while spans are given up all the time, no reader ever gets a hole for its bytes", async () => {
  const layer = fileLayer(48);
  // By FUSE, which can be read past the kernel's cache (O_DIRECT).
  await using opened = await openStore({
    maxCacheBytes: 12 * MIB,
    face: "fuse",
  });
  const { store, folder } = opened;
  Deno.writeFileSync(`${folder}/expected`, layer.file);
  const { directory, slot } = await add(store, layer);
  const results = await Promise.all(
    [1, 2, 3, 4].map((seed) =>
      hammer(`${directory}/file`, `${folder}/expected`, { seconds: 6, seed })
    ),
  );
  for (const { reads, wrong } of results) {
    assert.equal(wrong, 0);
    assert.ok(reads > 50, `${reads} reads`);
  }
  const { evictedBytes, bytes } = store.cacheFigures();
  assert.ok(evictedBytes > 100 * MIB, `${evictedBytes} bytes were given up`);
  assert.ok(bytes < 14 * MIB);
  await pause(200);
  const onDisk = await diskBytes(`${folder}/root/layers/${slot}/data`);
  assert.ok(onDisk < 15 * MIB, `${onDisk} bytes on disk`);
});

Deno.test("spans that are read again and again stay, others go", async () => {
  const layer = fileLayer(24);
  await using opened = await openStore({
    maxCacheBytes: 8 * MIB,
    face: "fuse",
  });
  const { store, folder } = opened;
  Deno.writeFileSync(`${folder}/expected`, layer.file);
  const source = new MemorySource(layer.blob);
  const { directory, spans } = await add(store, layer, source);
  const fetchesOfFirst = () =>
    source.fetches.filter(({ start }) => start < spans.compressedStart(1))
      .length;
  const script = `
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
buffer = mmap.mmap(-1, 4096)
for offset in range(0, ${24 * MIB}, 1 << 16):
    os.preadv(fd, [buffer], 8192)
    os.preadv(fd, [buffer], offset)
`;
  const { code, stderr } = await tryRun(
    "python3",
    ["-c", script, `${directory}/file`],
    { timeoutMs: 30_000 },
  );
  assert.equal(code, 0, stderr);
  const { evictedBytes } = store.cacheFigures();
  assert.ok(evictedBytes > 8 * MIB, `${evictedBytes} bytes given up`);
  assert.equal(fetchesOfFirst(), 1);
});

Deno.test("a full disk is read past, and used again when there is room", async () => {
  const layer = fileLayer(16);
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-full-" });
  await tryRun("mount", ["-t", "tmpfs", "-o", "size=14m", "tmpfs", folder], {
    timeoutMs: 10_000,
  });
  try {
    Deno.writeFileSync(`${folder}/filler`, new Uint8Array(10 * MIB));
    await using opened = await openStore({ folder });
    const { store } = opened;
    const layers = await add(store, layer);
    const path = `${layers.directory}/file`;
    for (let round = 0; round < 2; round++) {
      const result = await readWhole(path);
      assert.ok("bytes" in result, JSON.stringify(result));
      assert.deepEqual(result.bytes, layer.file);
      await Deno.writeTextFile("/proc/sys/vm/drop_caches", "1");
    }
    const before = layers.map.presentCount;
    assert.ok(before < layers.spans.count / 2, `${before} spans in the cache`);
    Deno.removeSync(`${folder}/filler`);
    await pause(5_500);
    const again = await readWhole(path);
    assert.ok("bytes" in again);
    assert.deepEqual(again.bytes, layer.file);
    assert.ok(layers.map.presentCount > before, "spans are cached again");
  } finally {
    await tryRun("umount", ["-l", folder], { timeoutMs: 10_000 });
    Deno.removeSync(folder);
  }
});

Deno.test("a kept layer is served again without a fetch, also by the next run, until the budget needs it", async () => {
  const layer = fileLayer(6);
  const other = fileLayer(6, 2);
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-kept-" });
  try {
    const options = { folder, maxCacheBytes: 10 * MIB };
    {
      await using opened = await openStore(options);
      const { store } = opened;
      const served = await add(store, layer);
      await served.fill();
      store.release(served.slot, { discard: false });
      const again = await add(store, layer); // while the first is still closing
      assert.equal(again.map.presentCount, again.spans.count);
      store.release(again.slot, { discard: false });
      assert.equal(store.cacheFigures().idleLayers, 1);
    }
    {
      await using opened = await openStore(options);
      const { store } = opened;
      assert.equal(store.cacheFigures().idleLayers, 1);
      const source = new MemorySource(layer.blob);
      const served = await add(store, layer, source);
      const whole = await readWhole(`${served.directory}/file`);
      assert.ok("bytes" in whole);
      assert.deepEqual(whole.bytes, layer.file);
      assert.equal(source.fetches.length, 0);
      store.release(served.slot, { discard: false });
      const wanted = await add(store, other);
      await readWhole(`${wanted.directory}/file`);
      await pause(50);
      const { idleLayers, evictedBytes } = store.cacheFigures();
      assert.equal(idleLayers, 0, "what nobody serves goes first");
      assert.equal(evictedBytes, 0);
      assert.deepEqual(
        [...Deno.readDirSync(`${folder}/root/layers`)].map(({ name }) => name),
        [String(wanted.slot)],
      );
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a whole layer that is used keeps its bytes whatever the budget says; one that nobody uses gives them up, and is fetched again in parts by its own ztoc", async () => {
  const layer = fileLayer(6);
  const other = fileLayer(6, 2);
  await using opened = await openStore({
    ...{ maxCacheBytes: 10 * MIB, indexes: "kept" },
  });
  const { store, folder } = opened;
  const proven = {
    layerDigest: layer.digest as Digest,
    diffId: sha256(layer.tar),
    claimant: "somebody",
  };
  const data = `${folder}/root/tar`;
  Deno.writeFileSync(data, layer.tar);
  const none = new MemorySource(new Uint8Array());
  const whole = await store.whole.add(proven, ztocOf(layer), none, data);
  await whole.shown;
  const { slot, folder: own } = whole;
  assert.ok(whole.isWhole);
  const filler = await add(store, other);
  await readWhole(`${filler.directory}/file`);
  const more = fileLayer(6, 3);
  await readWhole(`${(await add(store, more)).directory}/file`);
  for (let tries = 0; store.cacheFigures().evictedBytes === 0; tries++) {
    assert.ok(tries < 250, "something goes");
    await pause(20);
  }
  const { blocks } = await Deno.stat(`${own}/data`);
  assert.ok(blocks! * 512 >= layer.tar.length, "no hole");
  assert.ok(whole.isWhole);
  store.release(slot, { discard: false });
  await readWhole(`${filler.directory}/file`);
  const isThere = (name: string) =>
    [...Deno.readDirSync(own)].some((entry) => entry.name === name);
  for (let tries = 0; isThere("data"); tries++) {
    assert.ok(tries < 250, "its bytes go");
    await pause(20);
  }
  assert.ok(isThere("ztoc"));
  assert.equal(await store.whole.find(proven, () => none), null);
  const size = layer.blob.length;
  const stranger = { ...proven, claimant: "somebody else" };
  assert.equal(
    await store.whole.findEmptied(stranger, () => none, size),
    null,
  );
  assert.equal(
    await store.whole.findEmptied(proven, () => none, size + 1),
    null,
    "its ztoc is of another blob",
  );
  const source = new MemorySource(layer.blob);
  const again = await store.whole.findEmptied(proven, () => source, size);
  assert.equal(again?.slot, slot);
  await again!.shown;
  assert.ok(!again!.isWhole);
  using file = await Deno.open(`${again!.directory}/file`);
  const part = new Uint8Array(100_000);
  assert.equal(await file.read(part), part.length);
  assert.deepEqual(part, layer.file.subarray(0, part.length));
  assert.ok(source.fetches.length > 0);
  assert.ok(again!.map.presentCount < again!.spans.count, "not all of it came");
});

Deno.test("whole layers that nobody uses any more keep to the budget, also where nothing else comes", async () => {
  await using opened = await openStore({
    ...{ maxCacheBytes: 10 * MIB, indexes: "kept" },
  });
  const { store, folder } = opened;
  const folders: string[] = [];
  for (const seed of [1, 2]) {
    const layer = fileLayer(6, seed);
    const data = `${folder}/root/tar`;
    Deno.writeFileSync(data, layer.tar);
    const whole = await store.whole.add(
      {
        layerDigest: layer.digest as Digest,
        diffId: sha256(layer.tar),
        claimant: "somebody",
      },
      ztocOf(layer),
      new MemorySource(new Uint8Array()),
      data,
    );
    await whole.shown;
    folders.push(whole.folder);
    store.release(whole.slot, { discard: false });
  }
  const isThere = (own: string) =>
    [...Deno.readDirSync(own)].some(({ name }) => name === "data");
  for (let tries = 0; isThere(folders[0]!); tries++) {
    assert.ok(tries < 250, "the bytes of the older one go");
    await pause(20);
  }
  assert.ok(isThere(folders[1]!), "the other has its room");
});

Deno.test("a discarded layer leaves nothing, even while it is being filled", async () => {
  const layer = fileLayer(16);
  await using opened = await openStore();
  const { store, folder } = opened;
  const source = new MemorySource(layer.blob);
  source.pieceBytes = 64 * 1024;
  source.pace = () => pause(2);
  const served = await add(store, layer, source);
  const filled = served.fill();
  filled.catch(() => {}); // looked at below
  await pause(100);
  store.release(served.slot, { discard: true });
  await assert.rejects(filled);
  const left = () => [...Deno.readDirSync(`${folder}/root/layers`)];
  for (let i = 0; i < 250 && left().length > 0; i++) await pause(20); // another thread removes it
  assert.deepEqual(left(), []);
  const asked = source.fetches.length;
  await pause(100);
  assert.equal(source.fetches.length, asked);
});

Deno.test("the background leaves a full budget alone", async () => {
  const layer = fileLayer(24);
  await using opened = await openStore({ maxCacheBytes: 8 * MIB });
  const { store } = opened;
  const served = await add(store, layer);
  await served.fill();
  await pause(50);
  const { bytes, evictedBytes } = store.cacheFigures();
  assert.ok(bytes > 6 * MIB && bytes <= 9 * MIB, `${bytes} bytes`);
  assert.ok(evictedBytes <= MIB, `${evictedBytes} bytes were given up for it`);
});
