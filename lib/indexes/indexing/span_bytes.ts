import { SpanInflater } from "../../formats/deflate/mod.ts";
import { type Descriptor, sha256 } from "../../formats/oci/mod.ts";
import { decodeSpan } from "../../formats/zstd/mod.ts";
import {
  MAX_SPAN_BYTES,
  type SpanTable,
  spanTable,
  type Ztoc,
} from "../../formats/ztoc/mod.ts";
import { ContentError, type LayerSource } from "../../remote/content/mod.ts";

/** Reads single spans of a layer: fetched, checked against the ztoc's digests and inflated. */
export class SpanBytes {
  /** Where its spans are. */
  readonly spans: SpanTable;
  readonly #source: LayerSource;
  readonly #layer: Descriptor;
  readonly #compression: Ztoc["compression"];
  readonly #inflater = new SpanInflater();

  /** Reads nothing yet. @throws ZtocError */
  constructor(source: LayerSource, layer: Descriptor, ztoc: Ztoc) {
    this.#source = source;
    this.#layer = layer;
    this.#compression = ztoc.compression;
    this.spans = spanTable(ztoc);
  }

  /**
   * The bytes of one span.
   * @returns a view that the next call may change.
   * @throws ContentError and the source's errors; DeflateError, ZstdError
   */
  async read(span: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { spans } = this;
    const compressed = await this.#fetch(span, signal);
    const size = spans.end(span) - spans.start(span);
    const window = spans.window(span);
    if (window !== null) {
      return this.#inflater.inflate(compressed, spans.bits(span), window, size);
    }
    return this.#compression === "zstd"
      ? decodeSpan(compressed, size, MAX_SPAN_BYTES)
      : compressed;
  }

  async #fetch(span: number, signal?: AbortSignal): Promise<Uint8Array> {
    const start = this.spans.compressedStart(span);
    const end = this.spans.compressedEnd(span);
    const length = end - start;
    const stream = await this.#source.stream(this.#layer, {
      ...{ offset: start, length, signal },
    });
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    if (bytes.length === length && sha256(bytes) === this.spans.digest(span)) {
      return bytes;
    }
    throw new ContentError(
      "integrity",
      this.#source.place,
      this.#layer.digest,
      `bytes ${start} to ${end} are not those the ztoc was made of`,
    );
  }
}
