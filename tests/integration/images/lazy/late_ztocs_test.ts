/** Layers that are mounted before their ztocs are here: for which images, and what becomes of them. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { zstdCompressSync } from "node:zlib";
import {
  type Descriptor,
  type Digest,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import { compressedDescriptor } from "../../../../lib/formats/soci/mod.ts";
import {
  decodeZtoc,
  encodeZtoc,
  splitZtoc,
} from "../../../../lib/formats/ztoc/mod.ts";
import { ImageService } from "../../../../lib/images/lazy/mod.ts";
import {
  buildZtocs,
  convertImage,
  putIndexV1,
} from "../../../../lib/indexes/indexing/mod.ts";
import {
  NO_PACK,
  type OpenLayer,
  storeStatus,
} from "../../../../lib/layers/serving/mod.ts";
import { configureLogs } from "../../../../lib/telemetry/mod.ts";
import { RegistryPlace } from "../../../../lib/remote/content/mod.ts";
import { readFamily } from "../../../../lib/remote/image/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { addLoadOrder } from "../../../support/images/load_order.ts";
import { pause, SmallDisk } from "../../../support/host/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";
import { openStore, readWhole } from "../../layers/spans/support.ts";

const REPOSITORY = "team/app";
/** Compresses to half. */
const FILE = new TextEncoder().encode(
  Buffer.from(incompressible(250_000, 7)).toString("hex"),
);
/** Where the file's bytes are in the tar. */
const DATA = 512;
const IMAGE = makeImage({
  layers: [layerBlob(new TarBuilder().file("file", FILE))],
});
const LAYER = IMAGE.layers[0]!.digest;
const { signal } = new AbortController();

/** What a companion holds of a ztoc. */
type Packed = (ztoc: Uint8Array) => { head: Uint8Array; windows: Uint8Array };

/** A ztoc that makes its file setuid. */
function withSetuid(ztoc: Uint8Array): Uint8Array<ArrayBuffer> {
  const honest = decodeZtoc(ztoc);
  const [entry] = honest.entries;
  return encodeZtoc({ ...honest, entries: [{ ...entry!, mode: 0o4755 }] });
}

/** An image whose digest covers companion and pack, at a registry. */
async function openScene(
  packed: Packed = splitZtoc,
  /** What is published for the ztoc. */
  published: (ztoc: Uint8Array) => Uint8Array<ArrayBuffer> | null = () => null,
  /** Of the layers' state. */
  disk: { readonly folder?: string } = {},
) {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(startRegistry());
  const client = stack.use(
    new RegistryClient({ retry: { retries: 1, minWaitMs: 1 } }),
  );
  await pushImage(registry.host, `${REPOSITORY}:1`, IMAGE);
  const reference = parseReference(`${registry.host}/${REPOSITORY}:1`);
  const place = new RegistryPlace(client, reference);
  const family = await readFamily(place);
  const built = await buildZtocs(await family.one(undefined), {
    ...{ source: place, sink: place, ledgers: [], force: false, signal },
    ...{ spanSizeBytes: 65536, minLayerSizeBytes: 0, concurrency: 1 },
    ...{ withCompanion: true, optimizeXattrs: false, prefetchFiles: [] },
  });
  const { order } = addLoadOrder(registry, REPOSITORY, IMAGE, [
    { layer: 0, offset: DATA, bytes: FILE.subarray(0, 200_000) },
  ]);
  let [ztoc] = built.ztocs;
  let ztocBytes = await client.blobBytes(reference, ztoc!, {
    maxBytes: ztoc!.size,
  });
  const other = published(ztocBytes);
  if (other !== null) {
    ztocBytes = other;
    ztoc = { ...ztoc!, digest: sha256(other), size: other.length };
    registry.addBlob(REPOSITORY, other);
  }
  const parts = packed(ztocBytes);
  const head = zstdCompressSync(parts.head);
  const bytes = new Uint8Array(
    Buffer.concat([head, zstdCompressSync(parts.windows)]),
  );
  const compressed = compressedDescriptor(ztoc!.digest, {
    ...{ digest: sha256(bytes), size: bytes.length, bytes },
    head: { digest: sha256(head), size: head.length },
  });
  registry.addBlob(REPOSITORY, bytes);
  const descriptor: Descriptor = {
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: order,
    size: registry.store.manifest(REPOSITORY, order)!.bytes.length,
  };
  const indexed = { ...built, ztocs: [ztoc!], compressed: [compressed] };
  const { indexes } = await convertImage({
    ...{ source: place, sink: place, family, name: "2", content: "share" },
    built: [indexed],
    orders: [{ built: indexed, workload: "default", descriptor }],
  });
  await putIndexV1(place, indexed);
  registry.requests.length = 0;
  const opened = stack.use(await openStore({ readWaitMs: 20_000, ...disk }));
  const images = new ImageService(client, opened.store, {
    ...{ v1: true, v2: true },
  }, {
    ...{ enable: true, unpinned: true, maxBytes: 2 ** 28, maxWaste: 1 },
    workloads: [],
  });
  stack.use(images.replays);
  const folder = (layer: OpenLayer) =>
    `${opened.store.root}/layers/${layer.slot}`;
  const moved = stack.move();
  return {
    ...{ registry, images, opened, folder, ztoc: ztoc!.digest },
    async open(manifest: Digest = indexes[0]!.manifest): Promise<OpenLayer> {
      const image = await images.byManifest(reference, manifest, null);
      const [layer] = await images.openAll(image, signal);
      return layer!;
    },
    /** Gives neither the layer nor its ztoc, of which the head alone is given, before it is let. */
    withhold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      registry.intercept = async (path, request) => {
        const isHead = path.endsWith(compressed.digest) &&
          request.headers.get("range")?.startsWith("bytes=0-");
        const isLate = [LAYER, ztoc!.digest, compressed.digest]
          .some((digest) => path.endsWith(digest));
        if (isLate && !isHead) await promise;
        return null;
      };
      return resolve;
    },
    asked: (digest: string) =>
      registry.requests.some(({ path }) => path.endsWith(digest)),
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

async function read(layer: OpenLayer): Promise<Uint8Array | string> {
  const result = await readWhole(`${layer.directory}/file`);
  return "bytes" in result ? result.bytes : result.error;
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

Deno.test("a pinned image's layer is shown by the head of its ztoc, and a reader has the rest of it brought", async () => {
  await using scene = await openScene();
  const give = scene.withhold();
  const layer = await scene.open();
  assert.notEqual(layer.pack.digest, NO_PACK);
  assert.equal(layer.late.isHere, false);
  assert.equal((await Deno.stat(`${layer.directory}/file`)).size, FILE.length);
  await using file = await Deno.open(`${layer.directory}/file`);
  const start = new Uint8Array(100_000);
  for (let at = 0; at < start.length;) {
    at += await file.read(start.subarray(at)) ?? assert.fail("it ends");
  }
  assert.deepEqual(start, FILE.slice(0, start.length), "of the pack");
  for (const name of ["ztoc", "headers"]) {
    assert.equal(await exists(`${scene.folder(layer)}/${name}`), false, name);
  }
  const reading = read(layer);
  give();
  assert.deepEqual(await reading, FILE);
  assert.ok(layer.late.isHere);
  assert.ok(await exists(`${scene.folder(layer)}/headers`));
  assert.equal(scene.asked(scene.ztoc), false, "it came compressed");
  await layer.fill();
  assert.ok(await layer.proof.whenProven(signal));
});

Deno.test("what was opened ahead and lost its rest is made anew, and by the ztoc it is not", async () => {
  await using scene = await openScene();
  scene.withhold();
  const layer = await scene.open();
  const tree = `${scene.folder(layer)}/tree`;
  const { slot } = layer;
  const made = await Deno.readFile(tree);
  scene.opened.store.release(slot, { discard: false });
  // A tree that a false head would have left.
  await Deno.writeFile(tree, made.slice(0, -1));
  const give = scene.withhold();
  const again = await scene.open();
  assert.equal(again.slot, slot);
  assert.deepEqual(await Deno.readFile(tree), made);
  give();
  await again.late.whole();
  assert.deepEqual(await read(again), FILE);
});

Deno.test("a head that is not the ztoc's condemns the layer for the image, and no other", async () => {
  await using scene = await openScene((ztoc) => ({
    ...splitZtoc(ztoc),
    head: splitZtoc(withSetuid(ztoc)).head,
  }));
  const layer = await scene.open();
  await assert.rejects(layer.late.whole(), { name: "FalseHeadError" });
  assert.equal(layer.state, "condemned");
  assert.equal(typeof await read(layer), "string");
  assert.ok(layer.pack.lied.aborted);
  const honest = await scene.open(IMAGE.digest);
  assert.ok(honest.late.isHere);
  assert.deepEqual(await read(honest), FILE);
  const clean = await scene.open();
  assert.equal(clean.pack.digest, NO_PACK);
  assert.deepEqual(await read(clean), FILE);
  const { mode } = await Deno.stat(`${clean.directory}/file`);
  assert.equal(mode! & 0o7777, 0o644);
});

Deno.test("a layer that was opened by the head of a lying ztoc has its headers compared all the same", async () => {
  await using scene = await openScene(splitZtoc, withSetuid);
  const layer = await scene.open();
  assert.equal(layer.late.isHere, false);
  // The span with the file's header: readers of the file may have all they want by the pack.
  await layer.late.whole();
  await layer.fill().catch(() => {});
  assert.equal(layer.state, "condemned");
  assert.equal(typeof await read(layer), "string", "it gives no byte");
});

Deno.test("a rest that the registry garbles is replaced by the ztoc itself", async () => {
  await using scene = await openScene();
  scene.withhold();
  const layer = await scene.open();
  scene.registry.intercept = (path, request) => {
    const [, start, end] =
      /bytes=([1-9]\d*)-(\d+)/.exec(request.headers.get("range") ?? "") ?? [];
    if (start === undefined || path.endsWith(LAYER)) return null;
    return new Response(new Uint8Array(Number(end) + 1 - Number(start)), {
      status: 206,
      headers: { "content-range": `bytes ${start}-${end}/*` },
    });
  };
  await layer.late.whole();
  assert.ok(scene.asked(scene.ztoc));
  assert.deepEqual(await read(layer), FILE);
});

Deno.test("an image of which only referrers say this waits for its ztocs, although it has a pack", async () => {
  await using scene = await openScene();
  const layer = await scene.open(IMAGE.digest);
  assert.notEqual(layer.pack.digest, NO_PACK);
  assert.ok(layer.late.isHere);
  assert.deepEqual(await read(layer), FILE);
});

Deno.test("on a full disk the rest of a ztoc takes the room that is set aside: readers read on, and the next start has it", async () => {
  await using disk = await SmallDisk.make("tmpfs", 64);
  await using scene = await openScene(undefined, undefined, disk);
  const give = scene.withhold();
  const layer = await scene.open();
  assert.equal(layer.late.isHere, false);
  const { size } = await Deno.stat(`${disk.root}/reserve`);
  await disk.fill();
  give();
  assert.deepEqual(await read(layer), FILE);
  await layer.saved;
  await layer.late.settled();
  for (const name of ["ztoc", "headers"]) {
    assert.ok(await exists(`${scene.folder(layer)}/${name}`), name);
  }
  const { size: left } = await Deno.stat(`${disk.root}/reserve`);
  assert.ok(left > 0 && left < size, `${left} of ${size} are left`);
  disk.free();
});

Deno.test("where not even that is enough the rest of a ztoc is not asked for, which is told once; a reader goes on when there is room", async () => {
  await using disk = await SmallDisk.make("tmpfs", 64);
  await using scene = await openScene(undefined, undefined, disk);
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  await configureLogs({ level: "info", format: "text", write });
  const give = scene.withhold();
  const layer = await scene.open();
  give();
  Deno.removeSync(`${disk.root}/reserve`);
  await disk.fill();
  scene.registry.requests.length = 0;
  let isRead = false;
  const reading = read(layer).finally(() => isRead = true);
  for (let tries = 0; tries < 20; tries++) {
    await assert.rejects(layer.late.whole(), { name: "ZtocRoomError" });
    await pause(20);
  }
  assert.deepEqual(scene.registry.requests, []);
  assert.equal(isRead, false, "it waits");
  const told = lines.filter((line) => line.includes("no place on the disk"));
  assert.equal(told.length, 1, told.join("\n"));
  const state = async () =>
    (await storeStatus(scene.opened.store, () => Promise.resolve())).layers
      .map(({ ztoc }) => ztoc);
  assert.deepEqual(await state(), ["no room"]);
  disk.free();
  assert.deepEqual(await reading, FILE);
  assert.deepEqual(await state(), ["here"]);
});

Deno.test("a ztoc for which the disk has no room is not asked for, and that is not held against the layer", async () => {
  await using disk = await SmallDisk.make("tmpfs", 64);
  await using scene = await openScene(undefined, undefined, disk);
  await disk.fill();
  await assert.rejects(scene.open(IMAGE.digest), { name: "ZtocRoomError" });
  assert.equal(scene.asked(scene.ztoc), false);
  disk.free();
  const layer = await scene.open(IMAGE.digest);
  assert.deepEqual(await read(layer), FILE);
});
