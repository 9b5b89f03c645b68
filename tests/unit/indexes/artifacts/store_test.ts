import assert from "node:assert/strict";
import {
  ArtifactDatabase,
  ArtifactDatabaseError,
  type ArtifactRecord,
  ArtifactStore,
  creationTime,
  rebuildDatabase,
  UnknownArtifactError,
} from "../../../../lib/indexes/artifacts/mod.ts";
import {
  databaseLedger,
  keepConversion,
  keepIndexV1,
} from "../../../../lib/indexes/indexing/mod.ts";
import { readFamily } from "../../../../lib/remote/image/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { SOCI_MEDIA } from "../../../../lib/formats/soci/mod.ts";
import {
  imageIndex,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { build, openPlaces } from "../indexing/places.ts";

const digest = (text: string) => sha256(new TextEncoder().encode(text));

function record(more: Partial<ArtifactRecord> = {}): ArtifactRecord {
  return {
    kind: "ztoc",
    digest: digest("ztoc"),
    sizeBytes: 7,
    originalDigest: digest("layer"),
    mediaType: SOCI_MEDIA.ztoc,
    artifactType: "",
    imageDigest: null,
    imageName: null,
    platform: null,
    spanSizeBytes: 4096,
    noXattrs: null,
    createdAt: new Date(1_700_000_000_000),
    ...more,
  };
}

const IMAGE = makeImage({
  layers: [
    layerBlob(new TarBuilder().file("a", "one")),
    layerBlob(new TarBuilder().file("b", "two")),
  ],
});

/** A store in an OCI layout, an image, and its index v1 in the store. */
async function openStore() {
  const other = makeImage({
    layers: IMAGE.layers,
    platform: { os: "linux", architecture: "s390x" },
  });
  const places = await openPlaces(imageIndex([IMAGE, other]));
  const store = await ArtifactStore.open(`${places.folder}/root`);
  const options = {
    ledgers: [databaseLedger(store.database)],
    prefetchFiles: ["a"],
  };
  const built = await build(
    { ...places, sink: store.content as never },
    options,
  );
  const family = await readFamily(places.source);
  return {
    ...places,
    store,
    built,
    family,
    async [Symbol.asyncDispose]() {
      store[Symbol.dispose]();
      await places[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a record reads as it was written, and later facts are added to it", () => {
  using database = new ArtifactDatabase(":memory:");
  database.record(record());
  assert.deepEqual(database.get(digest("ztoc")), [record()]);
  database.record(record({ noXattrs: true }));
  database.record(record({ noXattrs: null }));
  assert.deepEqual(database.get(digest("ztoc")), [record({ noXattrs: true })]);
});

Deno.test("a ztoc is found by its layer and span size alone", () => {
  using database = new ArtifactDatabase(":memory:");
  database.record(record());
  assert.equal(database.ztocsOf(digest("layer"), 4096).length, 1);
  assert.equal(database.ztocsOf(digest("layer"), 8192).length, 0);
  assert.equal(database.ztocsOf(digest("other"), 4096).length, 0);
});

Deno.test("indexes are listed newest first", () => {
  using database = new ArtifactDatabase(":memory:");
  for (const [i, name] of ["old", "newest", "middle"].entries()) {
    const createdAt = new Date(1000 * [1, 3, 2][i]!);
    database.record(record({ kind: "index", digest: digest(name), createdAt }));
  }
  assert.deepEqual(
    database.list("index").map((one) => one.digest),
    [digest("newest"), digest("middle"), digest("old")],
  );
});

Deno.test("one index of two images has two records, and both go with it", () => {
  using database = new ArtifactDatabase(":memory:");
  const index = { kind: "index", digest: digest("index") } as const;
  database.record(record({ ...index, originalDigest: digest("amd64") }));
  database.record(record({ ...index, originalDigest: digest("arm64") }));
  assert.equal(database.get(digest("index")).length, 2);
  assert.equal(database.remove(digest("index")), 2);
  assert.equal(database.remove(digest("index")), 0);
});

Deno.test("a database of a newer release is left alone", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/artifacts.sqlite`;
    const { DatabaseSync } = await import("node:sqlite");
    const newer = new DatabaseSync(path);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    assert.throws(() => new ArtifactDatabase(path), ArtifactDatabaseError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("SOURCE_DATE_EPOCH is the time of everything, and nonsense in it is refused", () => {
  // In a process of its own: the environment is that of all tests that run beside this one.
  const module = new URL(
    "../../../../lib/indexes/artifacts/mod.ts",
    import.meta.url,
  );
  const { stdout } = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--no-check",
      `import { creationTime } from "${module}"; console.log(creationTime().toISOString());`,
    ],
    env: { SOURCE_DATE_EPOCH: "1700000000", NO_COLOR: "1" },
  }).outputSync();
  assert.equal(new TextDecoder().decode(stdout), "2023-11-14T22:13:20.000Z\n");
  assert.throws(() => creationTime("yesterday"), /SOURCE_DATE_EPOCH/);
  assert.ok(Math.abs(creationTime().getTime() - Date.now()) < 5000);
});

Deno.test("the store's folder is its owner's alone", async () => {
  await using opened = await openStore();
  const { mode } = await Deno.stat(`${opened.folder}/root`);
  assert.equal(mode! & 0o777, 0o700);
});

Deno.test("what is not in the store is told with what to do", async () => {
  await using opened = await openStore();
  assert.throws(
    () => opened.store.find("index", digest("none")),
    (error) =>
      error instanceof UnknownArtifactError && /rebuild-db/.test(error.message),
  );
});

Deno.test("a lost database is made anew from the content: v1 by its subject, v2 by the image", async () => {
  await using opened = await openStore();
  const { store, source, family, built } = opened;
  await keepIndexV1(store, family.descriptor, built[0]!, { name: null });
  await keepConversion(store, {
    source,
    sink: store.content,
    family,
    built,
    name: "registry.example/app:soci",
  });
  const facts = (database: ArtifactDatabase) =>
    (["index", "ztoc", "prefetch"] as const).flatMap((kind) =>
      database.list(kind).map((one) => ({
        ...one,
        createdAt: null,
        imageName: null,
        // Of an image that is not in the store only the manifest's digest is known.
        imageDigest: one.artifactType === SOCI_MEDIA.indexV1
          ? null
          : one.imageDigest,
        platform: one.artifactType === SOCI_MEDIA.indexV1 ? null : one.platform,
        noXattrs: null,
      }))
    ).map((one) => JSON.stringify(one)).sort();
  const before = facts(store.database);
  assert.equal(store.database.list("index").length, 3);
  for (const one of store.database.digests()) store.database.remove(one);
  const result = await rebuildDatabase(store, null);
  assert.deepEqual(facts(store.database), before);
  assert.equal(result.indexes, 2, "both platforms have one v2 index");
  const again = await rebuildDatabase(store, null);
  assert.deepEqual(facts(store.database), before);
  assert.equal(again.forgotten, 0);
});

Deno.test("a rebuild forgets what is gone and keeps what it knew of the rest", async () => {
  await using opened = await openStore();
  const { store, family, built } = opened;
  const made = await keepIndexV1(store, family.descriptor, built[0]!, {
    name: null,
  });
  const [ztoc] = built[0]!.ztocs;
  await store.content.remove(ztoc!.digest);
  const before = store.database.get(made.descriptor.digest);
  const { forgotten } = await rebuildDatabase(store, null);
  assert.equal(forgotten, 1);
  assert.deepEqual(store.database.get(ztoc!.digest), []);
  assert.deepEqual(store.database.get(made.descriptor.digest), before);
});
