/** How the frames of a pack come from a registry: behind readers of other bytes, and not for ever. */
import assert from "node:assert/strict";
import type { LoadOrder } from "../../../../lib/formats/order/mod.ts";
import {
  decodeOrderManifest,
  decodePlan,
} from "../../../../lib/formats/order/mod.ts";
import { streamFrames } from "../../../../lib/images/replay/pack_stream.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { addLoadOrder } from "../../../support/images/load_order.ts";
import {
  startRegistry,
  type TestRegistry,
} from "../../../support/registry/mod.ts";

const REPOSITORY = "team/app";
const RANGE_BYTES = 2 ** 18;
/** More than can be asked for at once. */
const RANGES = 20;
const IMAGE = makeImage({
  layers: [layerBlob(new TarBuilder().file("file", "text"))],
});

interface Scene extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly order: LoadOrder;
  /** Streams the whole pack; how many ranges came. */
  stream(readersWait: () => boolean): Promise<number>;
  packRequests(): number;
}

async function openScene(): Promise<Scene> {
  const registry = startRegistry();
  const { order: digest, pack } = addLoadOrder(
    registry,
    REPOSITORY,
    IMAGE,
    Array.from({ length: RANGES }, (_, i) => ({
      ...{ layer: 0, offset: i * RANGE_BYTES },
      bytes: incompressible(RANGE_BYTES, i + 1),
    })),
  );
  const client = new RegistryClient({ retry: { retries: 1, minWaitMs: 1 } });
  const repository = parseReference(`${registry.host}/${REPOSITORY}:1`);
  const { bytes } = await client.manifest(repository, { digest });
  const { plan } = decodeOrderManifest(bytes);
  const order = decodePlan(
    await client.blobBytes(repository, plan, { maxBytes: 2 ** 20 }),
  );
  return {
    registry,
    order,
    async stream(readersWait) {
      let ranges = 0;
      await streamFrames(order.frames, {
        ...{ client, repository, order, readersWait },
        signal: AbortSignal.timeout(60_000),
        onRanges: (_frame, { length }) => {
          ranges += length;
          return "used";
        },
      });
      return ranges;
    },
    packRequests: () =>
      registry.requests.filter(({ path }) => path.includes(pack!)).length,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

Deno.test("while a reader waits for other bytes no more of a pack is asked for, and then all of it", async () => {
  await using scene = await openScene();
  const startMs = performance.now();
  let looks = 0;
  let early: number | null = null;
  const ranges = await scene.stream(() => {
    if (++looks > 20) return false;
    // A pack yields to a reader for a second at most.
    if (performance.now() - startMs < 900) early = scene.packRequests();
    return true;
  });
  assert.equal(early, 0);
  assert.equal(ranges, RANGES);
  assert.ok(scene.packRequests() >= 5, `${scene.packRequests()} requests`);
});

Deno.test("readers who never end hold a pack up, and do not keep it away", async () => {
  await using scene = await openScene();
  assert.equal(await scene.stream(() => true), RANGES);
});

Deno.test("a pack that comes by drips is given up", async () => {
  await using scene = await openScene();
  scene.registry.intercept = (_path, request) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(
      request.headers.get("range") ?? "",
    );
    if (range === null) return null;
    const [first, last] = [Number(range[1]), Number(range[2])];
    let timer: ReturnType<typeof setInterval>;
    const drips = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        timer = setInterval(
          () => controller.enqueue(new Uint8Array(100)),
          50,
        );
      },
      cancel: () => clearInterval(timer),
    });
    return new Response(drips, {
      status: 206,
      headers: {
        "content-range": `bytes ${first}-${last}/${RANGES * RANGE_BYTES * 2}`,
      },
    });
  };
  await assert.rejects(
    () => scene.stream(() => false),
    /the pack came at less than 65536 bytes in 2000 ms/,
  );
});
