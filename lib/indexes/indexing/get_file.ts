import type { LayerSource } from "../../remote/content/mod.ts";
import type { Descriptor } from "../../formats/oci/mod.ts";
import { cleanPath } from "../../formats/soci/mod.ts";
import { spanTable, type Ztoc } from "../../formats/ztoc/mod.ts";
import {
  findPath,
  LayerTree,
  S,
  TreeCompileError,
} from "../../layers/tree/mod.ts";
import { compileTree } from "../../layers/compiler/mod.ts";
import { SpanBytes } from "./span_bytes.ts";

/** A layer has no such file, or it is none whose bytes can be given. */
export class NoSuchFileError extends Error {
  static {
    this.prototype.name = "NoSuchFileError";
  }
}

/**
 * One file of a layer, from its spans alone: the spans' bytes are read, checked against the ztoc's
 * digests and inflated one after another, so memory is bounded by a span.
 * @param path as in the ztoc, or cleaned of leading and doubled slashes.
 * @throws NoSuchFileError at once; ContentError while it is read
 */
export function readFileOfLayer(
  source: LayerSource,
  layer: Descriptor,
  ztoc: Ztoc,
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  return pieces(source, layer, ztoc, findFile(ztoc, path), signal);
}

/** Where the bytes of a file are in the tar. */
interface FilePlace {
  readonly offset: number;
  readonly size: number;
}

/** The file that the layer shows under that path: the very tree that is served. */
function findFile(ztoc: Ztoc, path: string): FilePlace {
  const tree = treeOf(ztoc);
  const bytes = new TextEncoder().encode(cleanPath(path));
  const inode = findPath(tree, String.fromCharCode(...bytes));
  if (inode < 0) {
    throw new NoSuchFileError(`file ${path} does not exist in metadata`);
  }
  const type = (tree.mode[inode] as number) & S.IFMT;
  if (type !== S.IFREG) {
    throw new NoSuchFileError(
      `${path} is no regular file (${
        TYPE_NAMES.get(type) ?? "unknown"
      }), so it has no content`,
    );
  }
  return {
    offset: tree.dataOffset[inode] as number,
    size: tree.size[inode] as number,
  };
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [S.IFDIR, "dir"],
  [S.IFLNK, "symlink"],
  [S.IFCHR, "char"],
  [S.IFBLK, "block"],
  [S.IFIFO, "fifo"],
]);

function treeOf({ entries, uncompressedSize }: Ztoc): LayerTree {
  try {
    return new LayerTree(
      compileTree({ entries, spanStarts: [0], dataSize: uncompressedSize }),
    );
  } catch (cause) {
    if (!(cause instanceof TreeCompileError)) throw cause;
    throw new NoSuchFileError(
      `the layer's entries make no file tree: ${cause.message}`,
      { cause },
    );
  }
}

async function* pieces(
  source: LayerSource,
  layer: Descriptor,
  ztoc: Ztoc,
  { offset, size: length }: FilePlace,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  if (length === 0) return;
  const spans = spanTable(ztoc);
  const reader = new SpanBytes(source, layer, ztoc);
  const last = spans.spanAt(offset + length - 1);
  for (let span = spans.spanAt(offset); span <= last; span++) {
    const bytes = await reader.read(span, signal);
    const [start, end] = [spans.start(span), spans.end(span)];
    yield bytes.slice(
      Math.max(0, offset - start),
      Math.min(end - start, offset + length - start),
    );
  }
}
