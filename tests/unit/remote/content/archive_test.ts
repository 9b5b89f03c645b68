import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import {
  ContentError,
  openLocalImage,
} from "../../../../lib/remote/content/mod.ts";
import {
  imageIndex,
  layerBlob,
  makeImage,
  TarBuilder,
  writeLayout,
} from "../../../support/images/mod.ts";

const IMAGE = makeImage({
  layers: [layerBlob(new TarBuilder().file("a", "b"))],
});

async function inFolder(body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function refused(path: string, kind: ContentError["kind"], words: RegExp) {
  return assert.rejects(openLocalImage(path), (error) => {
    assert.ok(error instanceof ContentError);
    assert.equal(error.kind, kind, error.message);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

Deno.test("a docker-save archive without a layout is refused with what to do", () =>
  inFolder(async (folder) => {
    const path = `${folder}/save.tar`;
    const tar = new TarBuilder()
      .file("0123/layer.tar", new TarBuilder().file("a", "b").finish())
      .file("manifest.json", "[]").finish();
    await Deno.writeFile(path, tar);
    await refused(path, "unusable", /docker-save.*Docker 25.*skopeo/);
  }));

Deno.test("an archive that is packed as a whole is refused with its unpacker", () =>
  inFolder(async (folder) => {
    const path = `${folder}/a.tar.gz`;
    await Deno.writeFile(path, gzipSync(new TarBuilder().file("a").finish()));
    await refused(path, "unusable", /gunzip it first/);
  }));

Deno.test("files and folders that hold no image are refused", () =>
  inFolder(async (folder) => {
    await refused(folder, "unusable", /no OCI layout/);
    await refused(`${folder}/nothing`, "not-found", /no such file/);
    await Deno.writeFile(
      `${folder}/a.tar`,
      new TarBuilder().file("a").finish(),
    );
    await refused(`${folder}/a.tar`, "unusable", /no OCI image layout/);
    await Deno.writeTextFile(`${folder}/text`, "text ".repeat(500));
    await refused(`${folder}/text`, "unusable", /no tar archive/);
    await Deno.writeTextFile(`${folder}/empty`, "");
    await refused(`${folder}/empty`, "unusable", /no OCI image layout/);
  }));

Deno.test("an archive that is cut off is refused", () =>
  inFolder(async (folder) => {
    const tar = new TarBuilder().file("oci-layout", "{}")
      .file("blobs/sha256/aa", new Uint8Array(100_000)).finish();
    await Deno.writeFile(`${folder}/cut.tar`, tar.subarray(0, 20_000));
    await refused(`${folder}/cut.tar`, "invalid", /cut off/);
  }));

Deno.test("an index.json that breaks its rules is refused", () =>
  inFolder(async (folder) => {
    await writeLayout(folder, IMAGE);
    for (
      const bad of [
        "",
        "[]",
        '{"schemaVersion":2,"manifests":[{"digest":"../../etc"}]}',
        '{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:00","size":1}]}',
      ]
    ) {
      await Deno.writeTextFile(`${folder}/index.json`, bad);
      await refused(folder, "invalid", /index.json/);
    }
    await Deno.writeTextFile(
      `${folder}/index.json`,
      '{"schemaVersion":2,"manifests":[]}',
    );
    await refused(folder, "not-found", /no image/);
  }));

Deno.test("of several images the one that is named is opened", () =>
  inFolder(async (folder) => {
    const other = makeImage({
      layers: IMAGE.layers,
      platform: { os: "linux", architecture: "s390x" },
    });
    await writeLayout(folder, imageIndex([IMAGE, other]));
    const entry = (digest: string, size: number, name: string) => ({
      mediaType: IMAGE.mediaType,
      digest,
      size,
      annotations: {
        "org.opencontainers.image.ref.name": name,
        "io.containerd.image.name": `registry.example/app:${name}`,
      },
    });
    await Deno.writeTextFile(
      `${folder}/index.json`,
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          entry(IMAGE.digest, IMAGE.manifest.length, "one"),
          entry(other.digest, other.manifest.length, "two"),
        ],
      }),
    );
    await refused(folder, "unusable", /holds 2 images; say which: one/);
    for (const name of ["two", "registry.example/app:two"]) {
      const image = await openLocalImage(folder, { name });
      assert.equal((await image.image()).digest, other.digest);
      assert.equal(image.imageName, "registry.example/app:two");
    }
    await assert.rejects(
      openLocalImage(folder, { name: "three" }),
      /no single image "three"/,
    );
  }));
