import { writeErofsImage } from "../../../lib/formats/erofs/mod.ts";
import { LayerTree } from "../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../lib/layers/compiler/mod.ts";
import { mountFileSystem, MS } from "../../../lib/host/mounting/mod.ts";
import { OsError } from "../../../lib/host/os/mod.ts";
import { ZtocBuilder } from "../../../lib/formats/ztoc/mod.ts";
import { run } from "../host/mod.ts";

/** The tree of an archive, as the daemon compiles it. */
export function treeOfTar(tar: Uint8Array): LayerTree {
  const builder = new ZtocBuilder({
    compression: "uncompressed",
    spanSize: 2 ** 20,
  });
  for (let at = 0; at < tar.length; at += 2 ** 20) {
    builder.push(tar.slice(at, at + 2 ** 20));
  }
  const { ztoc } = builder.finish();
  return new LayerTree(compileTree({
    entries: ztoc.entries,
    spanStarts: [0],
    dataSize: ztoc.uncompressedSize,
  }));
}

/** Makes the image of a tree whose data is `blobBytes` long. */
export function imageOf(
  tree: LayerTree,
  blobBytes = Math.ceil((tree.spanStarts[tree.spans] as number) / 512) * 512,
): Uint8Array<ArrayBuffer> {
  return writeErofsImage(tree, { blobBytes, treeChecksum: tree.checksum });
}

/** An image that the kernel has mounted, file-backed. */
export interface MountedErofs extends AsyncDisposable {
  readonly directory: string;
  /** Image and blob, for the EROFS tools. */
  readonly image: string;
  readonly blob: string;
}

/** Null if this kernel mounts EROFS images from files, else its refusal. */
export async function erofsRefusal(): Promise<string | null> {
  try {
    await using _mounted = await mountErofs(
      imageOf(treeOfTar(new Uint8Array(1024))),
      new Uint8Array(1024),
    );
    return null;
  } catch (error) {
    if (error instanceof OsError) return error.message;
    throw error;
  }
}

/** Mounts an image with its data. @throws OsError */
export async function mountErofs(
  image: Uint8Array,
  blob: Uint8Array | { path: string },
): Promise<MountedErofs> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-erofs-" });
  const blobPath = "path" in blob ? blob.path : `${folder}/blob`;
  if (!("path" in blob)) await Deno.writeFile(blobPath, blob);
  await Deno.writeFile(`${folder}/image`, image);
  await Deno.mkdir(`${folder}/root`);
  try {
    mountFileSystem({
      source: `${folder}/image`,
      target: `${folder}/root`,
      type: "erofs",
      flags: MS.RDONLY,
      data: `device=${blobPath}`,
    });
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  return {
    directory: `${folder}/root`,
    image: `${folder}/image`,
    blob: blobPath,
    async [Symbol.asyncDispose]() {
      await run("umount", [`${folder}/root`], { timeoutMs: 10_000 });
      await Deno.remove(folder, { recursive: true });
    },
  };
}
