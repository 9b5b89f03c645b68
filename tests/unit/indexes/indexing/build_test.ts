import assert from "node:assert/strict";
import { ArtifactDatabase } from "../../../../lib/indexes/artifacts/mod.ts";
import {
  type ArtifactSink,
  ContentError,
  type ImageSource,
} from "../../../../lib/remote/content/mod.ts";
import { databaseLedger } from "../../../../lib/indexes/indexing/mod.ts";
import { indexOf } from "../../../../lib/indexes/indexing/build.ts";
import {
  spanSizeOf,
  xattrsAreDisabled,
  ztocForLayer,
} from "../../../../lib/formats/soci/mod.ts";
import {
  imageIndex,
  incompressible,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { build, openPlaces } from "./places.ts";

const MiB = 2 ** 20;
const layer = (name: string, size: number) =>
  layerBlob(new TarBuilder().file(name, incompressible(size, name.length)));
const THREE = makeImage({
  layers: [layer("a", 2 * MiB), layer("bb", MiB), layer("ccc", MiB)],
});

/** A source that counts the layers it streams. */
function counting(source: ImageSource) {
  const streamed: string[] = [];
  const counted: ImageSource = {
    place: source.place,
    imageName: source.imageName,
    image: (options) => source.image(options),
    has: (content, options) => source.has(content, options),
    bytes: (content, options) => source.bytes(content, options),
    stream(content, options) {
      streamed.push(content.digest);
      return source.stream(content, options);
    },
  };
  return { counted, streamed };
}

Deno.test("the same image gives the same index on every run", async () => {
  const digests = new Set<string>();
  for (let run = 0; run < 3; run++) {
    await using places = await openPlaces(THREE);
    const [built] = await build(places, { concurrency: 1 + run });
    digests.add(indexOf(built!, 1).descriptor.digest);
    digests.add(indexOf(built!, 2).descriptor.digest);
  }
  assert.equal(digests.size, 2);
});

Deno.test("an index lists ztocs in the order of the layers, with their span size", async () => {
  await using places = await openPlaces(THREE);
  const [built] = await build(places);
  const { index } = indexOf(built!, 1);
  for (const [i, { digest }] of THREE.layers.entries()) {
    const ztoc = ztocForLayer(index, digest)!;
    assert.equal(ztoc, index.layers[i]);
    assert.equal(spanSizeOf(ztoc), MiB);
    assert.equal(await places.sink.has(ztoc), true);
  }
});

Deno.test("a layer that comes twice is read once and listed twice", async () => {
  const [a, b] = THREE.layers;
  await using places = await openPlaces(makeImage({ layers: [a!, b!, a!] }));
  const { counted, streamed } = counting(places.source);
  const [built] = await build({ ...places, source: counted });
  assert.equal(streamed.length, 2);
  assert.equal(built!.ztocs.length, 3);
  assert.equal(built!.ztocs[0]!.digest, built!.ztocs[2]!.digest);
});

Deno.test("ztocs that were finished before an interrupt are used by the next run", async () => {
  await using places = await openPlaces(THREE);
  using database = new ArtifactDatabase(":memory:");
  const ledgers = [databaseLedger(database)];
  const stop = new AbortController();
  await assert.rejects(
    build(places, {
      ledgers,
      concurrency: 1,
      signal: stop.signal,
      onLayerStart: ({ digest }) => {
        if (digest === THREE.layers[2]!.digest) stop.abort(new Error("stop"));
      },
    }),
    /stop/,
  );
  const { counted, streamed } = counting(places.source);
  const [built] = await build({ ...places, source: counted }, { ledgers });
  assert.deepEqual(streamed, [THREE.layers[2]!.digest]);
  assert.deepEqual(
    built!.layers.map(({ outcome }) => outcome.kind),
    ["reused", "reused", "built"],
  );
  await using fresh = await openPlaces(THREE);
  const [whole] = await build(fresh);
  assert.deepEqual(built!.ztocs, whole!.ztocs);
});

Deno.test("an aborted build leaves no part of an artifact", async () => {
  await using places = await openPlaces(THREE);
  const stop = new AbortController();
  await assert.rejects(build(places, {
    signal: stop.signal,
    onProgress: () => stop.abort(new Error("stop")),
  }));
  for await (const { digest, size } of places.sink.list()) {
    const content = { mediaType: "", digest, size };
    await places.sink.bytes(content); // throws unless it is whole
  }
  const left = [...Deno.readDirSync(`${places.sink.place}/ingest`)]
    .filter(({ name }) => name !== "lock");
  assert.deepEqual(left, []);
});

Deno.test("a remembered ztoc that is gone is made again", async () => {
  await using places = await openPlaces(THREE);
  using database = new ArtifactDatabase(":memory:");
  const ledgers = [databaseLedger(database)];
  const [first] = await build(places, { ledgers });
  await places.sink.remove(first!.ztocs[1]!.digest);
  const [second] = await build(places, { ledgers });
  assert.deepEqual(
    second!.layers.map(({ outcome }) => outcome.kind),
    ["reused", "built", "reused"],
  );
});

Deno.test("another span size and --force do not use what is remembered", async () => {
  await using places = await openPlaces(THREE);
  using database = new ArtifactDatabase(":memory:");
  const ledgers = [databaseLedger(database)];
  await build(places, { ledgers });
  for (const options of [{ spanSizeBytes: 2 * MiB }, { force: true }]) {
    const [built] = await build(places, { ledgers, ...options });
    assert.ok(built!.layers.every(({ outcome }) => outcome.kind === "built"));
  }
});

Deno.test("layers below the least size and of formats that cannot be indexed are left out and told", async () => {
  const image = makeImage({
    layers: [
      layer("a", MiB),
      layerBlob(new TarBuilder().file("z", "z"), { compression: "zstd" }),
      layer("s", 10),
    ],
  });
  await using places = await openPlaces(image);
  const [small] = await build(places, { minLayerSizeBytes: 1000 });
  assert.deepEqual(
    small!.layers.map(({ outcome }) => outcome.kind),
    ["built", "too-small", "too-small"],
  );
  assert.equal(small!.ztocs.length, 1);
});

Deno.test("layers are said to have no xattrs only when asked, and only where it is so", async () => {
  const image = makeImage({
    layers: [
      layer("a", 100),
      layerBlob(new TarBuilder().file("x", "", { xattrs: { "user.a": "b" } })),
      layerBlob(new TarBuilder().dir("d").opaque("d")),
    ],
  });
  await using places = await openPlaces(image);
  using database = new ArtifactDatabase(":memory:");
  const ledgers = [databaseLedger(database)];
  const flags = async (optimizeXattrs: boolean) =>
    (await build(places, { ledgers, optimizeXattrs }))[0]!.ztocs
      .map(xattrsAreDisabled);
  assert.deepEqual(await flags(false), [false, false, false]);
  // Now the ztocs are known, but nobody has looked into them: the answer must not come from thin air.
  assert.deepEqual(await flags(true), [true, false, false]);
  assert.deepEqual(await flags(true), [true, false, false]);
  assert.deepEqual(await flags(false), [false, false, false]);
});

Deno.test("a file is prefetched from the topmost layer that has it", async () => {
  const image = makeImage({
    layers: [
      layerBlob(new TarBuilder().file("etc/f", "old").file("only/low", "x")),
      layerBlob(new TarBuilder().file("etc/f", "new")),
      layerBlob(new TarBuilder().file("empty", "")),
    ],
  });
  await using places = await openPlaces(image);
  const told: string[] = [];
  const [built] = await build(places, {
    prefetchFiles: ["/etc/f", "only//low", "empty", "not/there"],
    onPrefetch: ({ digest }) => told.push(digest),
  });
  // The empty file has no bytes to fetch, so its layer needs no list; but it was found.
  assert.deepEqual(told, [image.layers[0]!.digest, image.layers[1]!.digest]);
  assert.deepEqual(built!.missingFiles, ["not/there"]);
  const { index } = indexOf(built!, 2);
  assert.equal(index.layers.length, 5);
  assert.deepEqual(index.layers.slice(3), built!.prefetch);
});

Deno.test("a source that gives other bytes than the layer's ends the build", async () => {
  await using places = await openPlaces(THREE);
  const lying: ImageSource = {
    ...counting(places.source).counted,
    stream: () =>
      Promise.resolve(
        ReadableStream.from([new Uint8Array(THREE.layers[1]!.bytes)]),
      ),
  };
  await assert.rejects(
    build({ ...places, source: lying }),
    (error) => error instanceof ContentError && error.kind === "integrity",
  );
});

Deno.test("when one layer fails the others have ended before the build does", async () => {
  await using places = await openPlaces(THREE);
  let running = 0;
  const slow: ArtifactSink = {
    place: "slow",
    tag: () => Promise.resolve(),
    async put(descriptor, content) {
      running++;
      await new Promise((resolve) => setTimeout(resolve, 50));
      running--;
      if (content instanceof Uint8Array && descriptor.size > 0) {
        throw new Error("disk full");
      }
      return "written";
    },
  };
  await assert.rejects(
    build({ ...places, sink: slow as never }, { concurrency: 3 }),
    /disk full/,
  );
  assert.equal(running, 0);
});

Deno.test("every image of an index is built, and layers they share once where they are remembered", async () => {
  const other = makeImage({
    layers: THREE.layers,
    platform: { os: "linux", architecture: "riscv64" },
  });
  await using places = await openPlaces(imageIndex([THREE, other]));
  using database = new ArtifactDatabase(":memory:");
  const { counted, streamed } = counting(places.source);
  const built = await build({ ...places, source: counted }, {
    ledgers: [databaseLedger(database)],
  });
  assert.equal(built.length, 2);
  assert.equal(streamed.length, 3);
  assert.equal(built[1]!.image.platform?.architecture, "riscv64");
});
