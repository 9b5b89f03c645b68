/** Layers that are taken whole where several hosts may give them. */
import assert from "node:assert/strict";
import { KeptBlobs } from "../../../../lib/layers/store/mod.ts";
import { LineSpeeds } from "../../../../lib/images/lazy/line_speeds.ts";
import { WholeLayerTaker } from "../../../../lib/images/lazy/whole_layer.ts";
import { FAST_LIMITS } from "../../../../lib/images/lazy/whole_limits.ts";
import { WholeProgress } from "../../../../lib/images/lazy/whole_progress.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";
import {
  startRegistry,
  type TestRegistry,
} from "../../../support/registry/mod.ts";

const LAYER = layerBlob(
  new TarBuilder().file("data", incompressible(6_000_000, 1)),
);

/** What a mirror answers for the nth part that it is asked for; null: what it should. */
type Answers = (
  part: number,
  bytes: Uint8Array,
) => Response | null | Promise<Response | null>;

function partOf(bytes: BodyInit, from: number, length: number) {
  return new Response(bytes, {
    status: 206,
    headers: {
      "content-range": `bytes ${from}-${
        from + length - 1
      }/${LAYER.bytes.length}`,
      "content-length": String(length),
    },
  });
}

/** Takes a layer whose registry has two mirrors. @returns how many parts each host gave, the registry last */
async function taken(
  first: Answers,
  second: Answers = () => null,
  layersAtOnce = 1,
) {
  await using one = startRegistry();
  await using two = startRegistry();
  await using registry = startRegistry();
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-mirrors-" });
  const given = [0, 0, 0];
  const hosts: [TestRegistry, Answers][] = [
    [one, first],
    [two, second],
    [registry, () => null],
  ];
  for (const [at, [host, answers]] of hosts.entries()) {
    host.addBlob("a/b", LAYER.bytes);
    let part = 0;
    host.intercept = async (path, { headers }) => {
      if (!path.endsWith(LAYER.digest)) return null;
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(headers.get("range")!)!;
      const bytes = LAYER.bytes.slice(Number(from), Number(to) + 1);
      const answer = await answers(part++, bytes);
      if (answer === null) given[at]!++;
      return answer ?? partOf(bytes as BodyInit, Number(from), bytes.length);
    };
  }
  using client = new RegistryClient({
    retry: { retries: 1, minWaitMs: 1, maxWaitMs: 20 },
    timeouts: { headersMs: 1000, idleMs: 1000 },
    mirrors: (host) =>
      host === registry.host ? [{ url: one.url }, { url: two.url }] : [],
  });
  using taker = new WholeLayerTaker({
    ...{ client, folder, progress: new WholeProgress() },
    kept: new KeptBlobs(folder),
    speeds: new LineSpeeds(),
    limits: { ...FAST_LIMITS, chunkBytes: 2 ** 19, downloadsPerImage: 3 },
    decompressors: {},
  });
  try {
    const take = () =>
      taker.take({
        reference: parseReference(`${registry.host}/a/b:1`),
        layer: {
          mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
          digest: LAYER.digest,
          size: LAYER.bytes.length,
        },
        diffId: LAYER.diffId,
        requester: { image: "a", host: registry.host },
        ...{
          spanSizeBytes: 2 ** 20,
          windows: "all",
          isKept: false,
          known: null,
        },
        signal: AbortSignal.timeout(60_000),
      });
    const layers = await Promise.allSettled(
      Array.from({ length: layersAtOnce }, take),
    );
    for (const layer of layers) {
      if (layer.status === "rejected") throw layer.reason;
      using taken = layer.value;
      assert.equal(sha256(Deno.readFileSync(taken.data)), LAYER.diffId);
    }
    return given;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const PARTS = Math.ceil(LAYER.bytes.length / 2 ** 19);
const fails = () => new Response("no", { status: 500 });
const hangs = () => new Promise<Response>(() => {});

Deno.test("all parts of a layer come from the first host that has it", async () => {
  assert.deepEqual(await taken(() => null), [PARTS, 0, 0]);
});

Deno.test("what a mirror does not give in the middle of a layer the next host gives, and no part comes twice", async () => {
  const [one, two, three] = await taken(
    (part) => part < 4 ? null : fails(),
    (part) => part < 3 ? null : fails(),
  );
  assert.deepEqual([one, two], [4, 3]);
  assert.equal(three, PARTS - 7);
});

Deno.test("a mirror that falls silent in the middle of a layer is passed after its timeout", async () => {
  const [one, two, three] = await taken((part) => part < 4 ? null : hangs());
  assert.deepEqual([one, three], [4, 0]);
  assert.equal(two, PARTS - 4);
});

Deno.test("a mirror whose bytes are others is passed: the layer comes once more, from the registry", async () => {
  const changed = (_: number, bytes: Uint8Array) => {
    bytes[100]! ^= 1; // in place: its own headers are right
    return null;
  };
  for (
    const lie of [
      changed,
      (_: number, bytes: Uint8Array) => (bytes.fill(7), null),
    ]
  ) {
    const [, , three] = await taken(lie, lie);
    assert.equal(three, PARTS);
  }
});

Deno.test("layers of an image that a mirror falsified at once all come once more", async () => {
  const both = Promise.withResolvers<void>();
  let waiting = 0;
  const [, , three] = await taken(
    async (_, bytes) => {
      if (++waiting === 2) both.resolve();
      await both.promise; // each has bytes of the mirror before one of them is known to be wrong
      bytes[100]! ^= 1;
      return null;
    },
    () => null,
    2,
  );
  assert.equal(three, 2 * PARTS);
});
