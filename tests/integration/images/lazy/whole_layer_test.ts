/** Layers that programs of `decompress_streams` decompress, and what the daemon does where these fail. */
import assert from "node:assert/strict";
import { StoppingError } from "../../../../lib/images/lazy/stopping.ts";
import { pause, SmallDisk } from "../../../support/host/mod.ts";
import { LineSpeeds } from "../../../../lib/images/lazy/line_speeds.ts";
import { KeptBlobs } from "../../../../lib/layers/store/mod.ts";
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
import { startRegistry } from "../../../support/registry/mod.ts";

const sh = (script: string) => ({ path: "/bin/sh", args: ["-c", script] });

Deno.test("a program's tar is taken if it is the layer's; else the layer is read again, and only a registry's lie refuses it", async () => {
  await using registry = startRegistry();
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-whole-layer-" });
  using client = new RegistryClient();
  const take = async (
    compression: "gzip" | "zstd",
    program: { path: string; args: string[] },
    lie = false,
  ) => {
    const made = layerBlob(
      new TarBuilder().file("data", incompressible(3_000_000, 1)),
      { compression },
    );
    const { digest } = registry.addBlob("a/b", made.bytes);
    if (lie) {
      registry.intercept = () =>
        new Response(new Uint8Array(made.bytes.length).fill(7));
    }
    using taker = new WholeLayerTaker({
      ...{ client, folder, progress: new WholeProgress() },
      kept: new KeptBlobs(folder),
      speeds: new LineSpeeds(),
      limits: { ...FAST_LIMITS, chunkBytes: 2 ** 19 },
      decompressors: { gzip: program, zstd: program },
    });
    try {
      using layer = await taker.take({
        reference: parseReference(`${registry.host}/a/b:1`),
        layer: {
          mediaType: `application/vnd.oci.image.layer.v1.tar+${compression}`,
          digest,
          size: made.bytes.length,
        },
        diffId: made.diffId,
        requester: { image: "a", host: registry.host },
        ...{
          spanSizeBytes: 2 ** 20,
          windows: "all",
          isKept: false,
          known: null,
        },
        signal: AbortSignal.timeout(60_000),
      });
      const tar = Deno.readFileSync(layer.data);
      return { isOfTar: layer.isOfTar, tar: sha256(tar), wanted: made.diffId };
    } finally {
      registry.intercept = null;
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    }
  };
  for (
    const [packing, program, isOfTar] of [
      ["gzip", sh("exec gzip -dc"), true],
      ["gzip", sh("exit 1"), false],
      ["gzip", sh("cat"), false],
      ["gzip", sh("gzip -dc; head -c 512 /dev/urandom"), false],
      ["gzip", { path: "/nowhere", args: [] }, false],
      ["zstd", sh("head -c 1000 >/dev/null; kill -9 $$"), true],
    ] as const
  ) {
    const { args } = program;
    const found = await take(packing, { path: program.path, args: [...args] });
    assert.equal(found.isOfTar, isOfTar, args.join(" "));
    // What is behind the tar's end is not kept.
    assert.equal(found.tar, found.wanted, args.join(" "));
  }
  await assert.rejects(
    take("gzip", sh("exec gzip -dc"), true),
    /the registry served sha256:|cannot be indexed/,
  );
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what an earlier process left of a layer is gone on from for the same claimant alone; if it is something else, the layer starts over", async () => {
  await using registry = startRegistry();
  await using disk = await SmallDisk.make("tmpfs", 8);
  const folder = disk.root;
  using client = new RegistryClient({ retry: { retries: 0, minWaitMs: 1 } });
  const made = layerBlob(
    new TarBuilder().file("data", incompressible(3_000_000, 1)),
  );
  const { digest } = registry.addBlob("a/b", made.bytes);
  using taker = new WholeLayerTaker({
    ...{ client, folder, progress: new WholeProgress() },
    kept: new KeptBlobs(folder),
    speeds: new LineSpeeds(),
    limits: { ...FAST_LIMITS, chunkBytes: 2 ** 19 },
    decompressors: {},
  });
  const take = (claimant: string, signal: AbortSignal) =>
    taker.take({
      reference: parseReference(`${registry.host}/a/b:1`),
      layer: {
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest,
        size: made.bytes.length,
      },
      diffId: made.diffId,
      requester: { image: "a", host: registry.host },
      ...{ spanSizeBytes: 2 ** 20, windows: "all", isKept: true, known: null },
      ...{
        signal,
        keptAs: sha256(new TextEncoder().encode(claimant)).slice(7),
      },
    });
  const names = () => [...Deno.readDirSync(folder)].map(({ name }) => name);
  /** The daemon stops while two parts are here and the next one is awaited. */
  const left = async () => {
    const stop = new AbortController();
    let parts = 0;
    registry.intercept = async (path) => {
      if (!path.endsWith(digest) || parts++ < 2) return null;
      while (names().every((name) => !name.endsWith(".parts"))) await pause(5);
      const list = `${folder}/${
        names().find((name) => name.endsWith(".parts"))
      }`;
      while (Deno.readTextFileSync(list).split("\n").length < 4) await pause(5);
      stop.abort(new StoppingError());
      return new Response("", { status: 503 });
    };
    await assert.rejects(take("one", stop.signal));
    registry.intercept = null;
    assert.equal(names().length, 2, `${names()}`);
    registry.requests.length = 0;
  };
  const rangesOf = async (claimant: string) => {
    using layer = await take(claimant, AbortSignal.timeout(60_000));
    assert.equal(sha256(Deno.readFileSync(layer.data)), made.diffId);
    return registry.requests.splice(0).map(({ range }) => range);
  };
  await left();
  const all = (await rangesOf("another")).length;
  assert.equal(names().length, 2, "it is still there for the first");
  // There is no room for all of it, but for what is missing.
  const others = `${disk.folder}/others`;
  Deno.writeFileSync(others, new Uint8Array(1_300_000));
  assert.equal((await rangesOf("one")).length, all - 2);
  Deno.removeSync(others);
  assert.deepEqual(names(), []);

  // Another layer has none, unless what nobody goes on from goes.
  await left();
  Deno.writeFileSync(others, new Uint8Array(1_300_000));
  await rangesOf("another");
  assert.deepEqual(names(), []);
  Deno.removeSync(others);

  await left();
  const blob = `${folder}/${names().find((name) => !name.endsWith(".parts"))}`;
  const bytes = Deno.readFileSync(blob);
  bytes[100]! ^= 1; // after a power loss
  Deno.writeFileSync(blob, bytes);
  assert.ok((await rangesOf("one")).length >= all, "all of it comes again");
  assert.deepEqual(names(), []);
  await Deno.remove(folder, { recursive: true });
});
