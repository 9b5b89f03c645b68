import { ContentError, type LayerSource } from "../../remote/content/mod.ts";
import { SpanInflater } from "../../formats/deflate/mod.ts";
import { type Descriptor, type Digest, sha256 } from "../../formats/oci/mod.ts";
import { cleanPath } from "../../formats/soci/mod.ts";
import {
  MAX_SPAN_BYTES,
  spanTable,
  type Ztoc,
} from "../../formats/ztoc/mod.ts";
import { decodeSpan } from "../../formats/zstd/mod.ts";
import {
  findPath,
  LayerTree,
  S,
  TreeCompileError,
} from "../../layers/tree/mod.ts";
import { compileTree } from "../../layers/compiler/mod.ts";

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
  const inflater = new SpanInflater();
  const last = spans.spanAt(offset + length - 1);
  for (let span = spans.spanAt(offset); span <= last; span++) {
    const compressed = await readSpan(source, layer, {
      start: spans.compressedStart(span),
      end: spans.compressedEnd(span),
      digest: spans.digest(span),
      signal,
    });
    const [start, end] = [spans.start(span), spans.end(span)];
    const window = spans.window(span);
    const size = end - start;
    const bytes = window !== null
      ? inflater.inflate(compressed, spans.bits(span), window, size)
      : ztoc.compression === "zstd"
      ? decodeSpan(compressed, size, MAX_SPAN_BYTES)
      : compressed;
    yield bytes.slice(
      Math.max(0, offset - start),
      Math.min(end - start, offset + length - start),
    );
  }
}

async function readSpan(
  source: LayerSource,
  layer: Descriptor,
  { start, end, digest, signal }: {
    readonly start: number;
    readonly end: number;
    readonly digest: Digest;
    readonly signal: AbortSignal | undefined;
  },
): Promise<Uint8Array> {
  const length = end - start;
  const stream = await source.stream(layer, { offset: start, length, signal });
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const found = sha256(bytes);
  if (bytes.length !== length || found !== digest) {
    throw new ContentError(
      "integrity",
      source.place,
      layer.digest,
      `bytes ${start} to ${end} are not those the ztoc was made of`,
    );
  }
  return bytes;
}
