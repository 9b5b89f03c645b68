import { ContentError, type LayerSource } from "../../remote/content/mod.ts";
import { SpanInflater } from "../../formats/deflate/mod.ts";
import { type Descriptor, type Digest, sha256 } from "../../formats/oci/mod.ts";
import { cleanPath } from "../../formats/soci/mod.ts";
import {
  spanTable,
  type Ztoc,
  type ZtocEntry,
} from "../../formats/ztoc/mod.ts";

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

/** The last entry of that name counts, as in a file system that the tar is unpacked to. */
function findFile(ztoc: Ztoc, path: string): ZtocEntry {
  const decoder = new TextDecoder();
  const find = (wanted: string) =>
    ztoc.entries.findLast(({ name }) =>
      cleanPath(decoder.decode(name)) === wanted
    );
  let wanted = cleanPath(path);
  for (let hops = 0; hops < 40; hops++) {
    const entry = find(wanted);
    if (entry === undefined) {
      throw new NoSuchFileError(`file ${path} does not exist in metadata`);
    }
    if (entry.type === "reg") return entry;
    if (entry.type !== "hardlink") {
      throw new NoSuchFileError(
        `${path} is no regular file (${entry.type}), so it has no content`,
      );
    }
    wanted = cleanPath(decoder.decode(entry.linkname));
  }
  throw new NoSuchFileError(`${path} is a link to itself`);
}

async function* pieces(
  source: LayerSource,
  layer: Descriptor,
  ztoc: Ztoc,
  { offset, size }: ZtocEntry,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  if (size === 0) return;
  const spans = spanTable(ztoc);
  const inflater = new SpanInflater();
  const last = spans.spanAt(offset + size - 1);
  for (let span = spans.spanAt(offset); span <= last; span++) {
    const compressed = await readSpan(source, layer, {
      start: spans.compressedStart(span),
      end: spans.compressedEnd(span),
      digest: spans.digest(span),
      signal,
    });
    const [start, end] = [spans.start(span), spans.end(span)];
    const window = spans.window(span);
    const bytes = window === null
      ? compressed
      : inflater.inflate(compressed, spans.bits(span), window, end - start);
    yield bytes.slice(
      Math.max(0, offset - start),
      Math.min(end - start, offset + size - start),
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
