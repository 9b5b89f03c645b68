/** Load orders at a registry, from the first layer of an image on: what comes ahead, and what does not. */
import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { NO_PACK, type OpenLayer } from "../../../../lib/layers/serving/mod.ts";
import { ImageService } from "../../../../lib/images/lazy/mod.ts";
import type {
  OrderFigures,
  ReplayOptions,
} from "../../../../lib/images/replay/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  incompressible,
  joinBytes,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { addIndexedImage } from "../../../support/images/indexed.ts";
import {
  addLoadOrder,
  type OddOrder,
  type WantedRange,
} from "../../../support/images/load_order.ts";
import {
  startRegistry,
  type TestRegistry,
} from "../../../support/registry/mod.ts";
import { indexed } from "../../../unit/layers/spans/support.ts";
import {
  openStore,
  readWhole,
  type TestStore,
  ztocOf,
} from "../../layers/spans/support.ts";

const REPOSITORY = "team/app";
/** Whole pages: the kernel asks for no bytes behind them. */
const FILE_BYTES = 614_400;
/** Of a file, in one range. */
const PIECE_BYTES = FILE_BYTES / 10;
const FILES = [1, 2].map((seed) => incompressible(FILE_BYTES, seed));
const TARS = FILES.map((file) => () => new TarBuilder().file("file", file));
const LAYERS = TARS.map((tar) => indexed(tar(), 64 * 1024));
const IMAGE = makeImage({
  layers: TARS.map((tar) => layerBlob(tar(), { compression: "gzip" })),
});
/** Of a layer that the image does not have. */
const OTHER = sha256(Uint8Array.of(1));
/** Where a file's bytes are in its tar. */
const DATA = 512;
const REPLAY: ReplayOptions = {
  ...{ enable: true, unpinned: true, maxBytes: 2 ** 28, maxWaste: 1 },
  workloads: [],
};
const { signal } = new AbortController();

const range = (layer: number, offset: number, length: number): WantedRange => ({
  ...{ layer, offset },
  bytes: LAYERS[layer]!.tar.slice(offset, offset + length),
});
/** Both files whole, in pieces, in turns. */
const ALL: WantedRange[] = Array.from(
  { length: 20 },
  (_, i) => range(i % 2, DATA + Math.floor(i / 2) * PIECE_BYTES, PIECE_BYTES),
);

interface Scene extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly opened: TestStore;
  readonly images: ImageService;
  /** Opens all layers, as a Prepare of each would. */
  open(): Promise<OpenLayer[]>;
  /** Requests for blobs of layers. */
  layerRequests(): number;
}

async function openScene(
  ranges: readonly WantedRange[],
  { odd = {}, replay = {} }: {
    readonly odd?: OddOrder;
    readonly replay?: Partial<ReplayOptions>;
  } = {},
): Promise<Scene> {
  const registry = startRegistry();
  addIndexedImage(
    registry,
    `${REPOSITORY}:1`,
    IMAGE,
    LAYERS.map((layer) => ztocOf(layer)),
  );
  addLoadOrder(registry, REPOSITORY, IMAGE, ranges, odd);
  const client = new RegistryClient({ retry: { retries: 1, minWaitMs: 1 } });
  const opened = await openStore({ readWaitMs: 20_000 });
  const images = new ImageService(
    client,
    opened.store,
    { v1: true, v2: true },
    { ...REPLAY, ...replay },
  );
  const reference = parseReference(`${registry.host}/${REPOSITORY}:1`);
  const digests = new Set<string>(LAYERS.map(({ digest }) => digest));
  return {
    registry,
    opened,
    images,
    open: async () => {
      const image = await images.byManifest(reference, IMAGE.digest, null);
      return await images.openAll(image, signal);
    },
    layerRequests: () =>
      registry.requests.filter(({ path }) =>
        digests.has(path.slice(path.lastIndexOf("/") + 1))
      ).length,
    async [Symbol.asyncDispose]() {
      images.replays[Symbol.dispose]();
      await opened[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

/** Layers' blobs are not given; everything else is. */
function withholdLayers(registry: TestRegistry): () => void {
  const digests = LAYERS.map(({ digest }) => digest);
  const { promise, resolve } = Promise.withResolvers<void>();
  registry.intercept = async (path) => {
    if (digests.some((digest) => path.includes(digest))) await promise;
    return null;
  };
  return resolve;
}

async function readFile(layer: OpenLayer): Promise<Uint8Array> {
  const result = await readWhole(`${layer.directory}/file`);
  if ("bytes" in result) return result.bytes;
  throw new Error(result.error);
}

const fileOf = (layer: OpenLayer) =>
  FILES[LAYERS.findIndex(({ digest }) => digest === layer.layerDigest)]!;

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.ok(condition(), "it did not come true");
}

Deno.test("containers read what a pack brings, across layers, while no span comes; later spans agree with it", async () => {
  await using scene = await openScene(ALL);
  const give = withholdLayers(scene.registry);
  const layers = await scene.open();
  for (const layer of layers) {
    assert.notEqual(layer.pack.digest, NO_PACK);
    assert.deepEqual(await readFile(layer), fileOf(layer));
    assert.equal(layer.pack.use.arrivedBytes, FILE_BYTES);
  }
  give();
  for (const layer of layers) await layer.fill();
  for (const layer of layers) assert.equal(layer.pack.lied.aborted, false);
});

Deno.test("a pack that anybody may have added is not used unasked, and its order is still a hint", async () => {
  await using scene = await openScene([range(1, 300_000, 1000)], {
    replay: { unpinned: false },
  });
  const layers = await scene.open();
  for (const layer of layers) assert.equal(layer.pack.digest, NO_PACK);
  const second = layers.find(({ layerDigest }) =>
    layerDigest === LAYERS[1]!.digest
  )!;
  await until(() => second.map.has(second.spans.spanAt(300_000)));
  assert.equal(second.map.presentCount, 1);
  assert.equal(scene.layerRequests(), 1);
});

Deno.test("an order without a pack has its spans fetched, in layers that everybody shares", async () => {
  await using scene = await openScene([range(0, 400_000, 1000)], {
    odd: { packs: false },
    replay: { unpinned: false },
  });
  const [first] = await scene.open();
  await until(() => first!.map.has(first!.spans.spanAt(400_000)));
});

Deno.test("an evil pack is seen by its image alone, and by nobody once a span has come", async () => {
  const evil = ALL.map((one) => ({
    ...one,
    bytes: one.bytes.map((byte) => byte ^ 0x55),
  }));
  await using scene = await openScene(evil);
  const layers = await scene.open();
  // The same layers, indexed by another image that has no load order.
  const honest = new ImageService(
    scene.images.client,
    scene.opened.store,
    { v1: true, v2: true },
  );
  const reference = parseReference(`${scene.registry.host}/${REPOSITORY}:1`);
  const image = await honest.byManifest(reference, IMAGE.digest, null);
  for (const layer of await honest.openAll(image, signal)) {
    assert.equal(layer.pack.digest, NO_PACK);
    assert.deepEqual(await readFile(layer), fileOf(layer));
  }
  await layers[0]!.reader.ensureSpans(2, 2, "background", signal);
  // One layer showed it; no layer of the image shows any of it any more.
  await until(() => layers.every(({ pack }) => pack.lied.aborted));
  const into = new Uint8Array(100);
  for (const layer of layers) {
    const at = layer.spans.start(5);
    if (layer.copy(at, into)) {
      const own = LAYERS.find(({ digest }) => digest === layer.layerDigest)!;
      assert.deepEqual(into, own.tar.slice(at, at + 100));
    }
  }
  assert.notEqual(
    scene.opened.store.packs.condemned(
      layers[0]!.pack.digest,
      layers.map(({ identity }) => identity),
    ),
    null,
  );
});

const last = (bytes: Uint8Array, xor: number) =>
  bytes.with(bytes.length - 1, bytes.at(-1)! ^ xor);

const HOSTILE: readonly (readonly [
  what: string,
  odd: OddOrder,
  ranges?: readonly WantedRange[],
])[] = [
  ["a plan of random bytes", { plan: (bytes) => incompressible(bytes.length) }],
  ["a plan that was cut off", { plan: (bytes) => bytes.slice(0, -3) }],
  ["a plan with other digests of frames", { plan: (b) => last(b, 1) }],
  ["a pack of other bytes", { pack: (bytes) => last(bytes, 1) }],
  ["a pack that is longer", { pack: (bytes) => joinBytes([bytes, bytes]) }],
  ["frames that unpack to more than the plan says", {
    frame: () => zstdCompressSync(new Uint8Array(2 ** 20)),
  }],
  ["frames that are no zstd", { frame: (b) => incompressible(b.length) }],
  ["an order of another manifest", { subject: LAYERS[0]!.digest as Digest }],
  ["ranges behind the tar's end", {}, [{
    ...{ layer: 0, offset: LAYERS[0]!.tar.length - 1000 },
    bytes: incompressible(5000),
  }, { layer: 1, offset: 2 ** 39, bytes: incompressible(5000) }]],
];

for (const [what, odd, ranges = ALL] of HOSTILE) {
  Deno.test(`an image starts from its spans, with the right bytes: ${what}`, async () => {
    await using scene = await openScene(ranges, { odd });
    for (const layer of await scene.open()) {
      const bytes = await readFile(layer);
      assert.deepEqual(bytes, fileOf(layer));
    }
  });
}

Deno.test("a registry that never gives plan or pack, or gives them drop by drop, holds up neither mounts nor reads", async () => {
  await using scene = await openScene(ALL);
  const { registry } = scene;
  const digests = LAYERS.map(({ digest }) => digest);
  let packs = 0;
  registry.intercept = async (path, request) => {
    const isPack = request.headers.has("range") &&
      !digests.some((digest) => path.includes(digest));
    if (!isPack) return null;
    packs++;
    await new Promise((resolve) =>
      request.signal.addEventListener("abort", resolve)
    );
    return new Response(null, { status: 503 });
  };
  const layers = await scene.open();
  for (const layer of layers) {
    assert.deepEqual(await readFile(layer), fileOf(layer));
  }
  assert.ok(packs > 0);
});

Deno.test("no more than the cap comes ahead", async () => {
  await using scene = await openScene(ALL, {
    replay: { maxBytes: 4.1 * PIECE_BYTES },
  });
  withholdLayers(scene.registry);
  const layers = await scene.open();
  const arrived = () =>
    layers.reduce((sum, { pack }) => sum + pack.use.arrivedBytes, 0);
  await until(() =>
    arrived() > 0 && layers.every(({ pack }) => !pack.isAwaited)
  );
  assert.equal(arrived(), 4 * PIECE_BYTES);
});

Deno.test("what this node recorded of the repository is the order of an image that has none, and no byte of its other layers comes", async () => {
  const asked: string[] = [];
  await using scene = await openScene([], {
    odd: { platform: "plan9/mips" }, // none for this machine
    replay: {
      learned: ({ repository }, workload) => {
        asked.push(`${repository} ${workload}`);
        return Promise.resolve({
          layers: [LAYERS[1]!.digest as Digest, OTHER],
          ranges: [
            { layer: 1, offset: 0, length: 4096 },
            { layer: 0, offset: DATA + 300_000, length: 1000 },
            { layer: 0, offset: 2 ** 35, length: 1000 },
          ],
          ...{ packs: [], frames: [] },
        });
      },
    },
  });
  const layers = await scene.open();
  const [low, high] = LAYERS.map(({ digest }) =>
    layers.find(({ layerDigest }) => layerDigest === digest)!
  );
  const span = high!.spans.spanAt(DATA + 300_000);
  await until(() => high!.map.has(span));
  assert.ok(high!.map.has(span), "nobody had read it");
  assert.equal(low!.pack.digest, NO_PACK);
  const { fetched } = scene.opened.store;
  assert.equal(fetched.demandBytes, 0);
  const held = (layer: OpenLayer) =>
    Array.from({ length: layer.spans.count }, (_, i) => layer.map.has(i))
      .filter(Boolean).length;
  assert.equal(held(low!), 0);
  assert.ok(held(high!) <= 2, "the range, and what lies behind the layer");
  assert.deepEqual(asked, [`${REPOSITORY} default`]);
  const [figures] = scene.images.replays.figures();
  assert.equal(figures!.order, null);
  assert.ok(figures!.spans.broughtBytes > 0);
});

for (const packs of [true, false]) {
  const what = packs ? "pack" : "plan";
  Deno.test(`a ${what} of which nearly nothing was read is not used when the image is prepared anew`, async () => {
    await using scene = await openScene(ALL, {
      odd: { packs },
      replay: { maxWaste: 0.5, lookMs: 10 },
    });
    const layers = await scene.open();
    const brought = () => {
      const [{ pack, spans }] = scene.images.replays.figures() as [
        OrderFigures,
      ];
      return pack.broughtBytes + spans.broughtBytes;
    };
    await until(() => brought() >= 2 * FILE_BYTES);
    using file = Deno.openSync(`${layers[0]!.directory}/file`);
    await file.read(new Uint8Array(4096));
    file.close();
    // Looks go by: then nothing is replayed for layers that are opened anew.
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const { slot } of layers) {
      scene.opened.store.release(slot, { discard: true });
    }
    for (const layer of await scene.open()) {
      assert.equal(layer.pack.digest, NO_PACK);
    }
    assert.equal(scene.images.replays.figures().length, 0);
  });
}
