/**
 * The whole tree of images whose layers many programs wrote and packed, on both faces, against
 * containerd's own unpacking. What may differ is in docs/compatibility.md.
 */
import assert from "node:assert/strict";
import {
  addBusybox,
  type LayerBlob,
  layerBlob,
  makeImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { tryRun } from "../support/host/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import {
  byHand,
  GZIP_WRITERS,
  SOURCE_FOLDER,
  TAR_WRITERS,
} from "../support/writers/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { LazyHost } from "./host.ts";
import { bothWays, differences, type ImpliedDirectories } from "./trees.ts";

const erofs = await erofsRefusal();
const busybox = () => layerBlob(addBusybox(new TarBuilder()));

const FACES = erofs === null ? ["fuse", "erofs"] as const : ["fuse"] as const;

/** Beside a full round, each image is compared on one face, in turns. */
const ARE_ALL = Deno.env.get("SOCI_DENO_ALL_FACES") === "1";
let turn = 0;

/** Beside a full round, every second writer. */
const ofRound = <T>(writers: readonly T[]): readonly T[] =>
  writers.filter((_, at) => ARE_ALL || at % 2 === 0);

/** Compares one image on these faces. */
async function assertSame(
  name: string,
  layers: readonly LayerBlob[],
  implied: ImpliedDirectories,
  faces: readonly ("fuse" | "erofs")[] = FACES,
): Promise<void> {
  const image = makeImage({ layers: [busybox(), ...layers] });
  await using registry = startRegistry();
  const chosen = ARE_ALL ? faces : [faces[turn++ % faces.length]!];
  for (const face of chosen) {
    await using host = await LazyHost.start({ face });
    const { chainId, outcomes } = await bothWays(
      host,
      registry,
      "written:1",
      image,
    );
    assert.deepEqual(
      new Set(outcomes),
      new Set(["served"]),
      `${name}, ${face}: ${host.logs()}`,
    );
    assert.deepEqual(
      await differences(host, chainId, implied),
      [],
      `${name}, ${face}`,
    );
  }
}

for (const writer of ofRound(TAR_WRITERS)) {
  testUnless(await writer.missing(), {
    name: `a layer by ${writer.name} is the tree that overlayfs unpacks`,
    async fn() {
      // Not in /tmp, which may be a file system without attributes.
      const folder = await Deno.makeTempDir({
        dir: "/var/tmp",
        prefix: "soci-deno-writer-",
      });
      try {
        await Deno.mkdir(`${folder}/source`);
        await SOURCE_FOLDER.make(`${folder}/source`, writer.source);
        await writer.write(`${folder}/source`, `${folder}/tar`);
        const tar = await Deno.readFile(`${folder}/tar`);
        assert.ok(tar.length > 700_000);
        await assertSame(writer.name, [layerBlob(tar)], (path) => path === ".");
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

for (const [name, layersOf] of byHand) {
  Deno.test(`layers in the style of ${name} are the tree that overlayfs unpacks`, async () => {
    const layers = layersOf();
    await assertSame(
      name,
      layers.map((tar) => layerBlob(tar)),
      () => true, // most are implied: their times are compared in the tests above
    );
  });
}

const SOURCE = new TarBuilder().dir("d").file("d/zeros", new Uint8Array(2e6))
  .file("d/text", "line\n".repeat(300_000)).file("d/small", "s").finish();

for (const writer of ofRound(GZIP_WRITERS)) {
  const { code } = await tryRun("sh", ["-c", `command -v ${writer.program}`]);
  testUnless(code === 0 ? null : `there is no ${writer.program}`, {
    name: `a layer packed by ${writer.name} is the tree that overlayfs unpacks`,
    async fn() {
      const folder = await Deno.makeTempDir({ prefix: "soci-deno-writer-" });
      try {
        await Deno.writeFile(`${folder}/tar`, SOURCE);
        await writer.write(`${folder}/tar`, `${folder}/gz`);
        const bytes = await Deno.readFile(`${folder}/gz`);
        await assertSame(
          writer.name,
          [{
            bytes,
            digest: sha256(bytes),
            diffId: sha256(SOURCE),
            tarSize: SOURCE.length,
            packing: "gzip",
            // A face knows nothing of how its bytes were packed.
          }],
          (path) => path === ".",
          FACES.slice(-1),
        );
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}
