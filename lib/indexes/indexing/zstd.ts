import {
  ZSTD_TAIL_BYTES,
  zstdFacts,
  zstdReason,
} from "../../layers/builder/mod.ts";
import { MAX_FRAME_HEADER_BYTES } from "../../formats/zstd/mod.ts";
import type { LayerSource } from "../../remote/content/mod.ts";
import type { Descriptor } from "../../formats/oci/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("indexing");

/**
 * Describes why a zstd layer gets no ztoc. Reads the two ends of the blob; a failure to read them is
 * ignored.
 */
export async function describeZstd(
  source: LayerSource,
  layer: Descriptor,
  { spanSizeBytes, signal }: {
    readonly spanSizeBytes: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<string> {
  const { size, annotations = {} } = layer;
  const piece = async (offset: number, length: number) => {
    const stream = await source.stream(layer, { offset, length, signal });
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  let facts = zstdFacts(new Uint8Array(0), new Uint8Array(0));
  if (size >= MAX_FRAME_HEADER_BYTES) {
    try {
      facts = zstdFacts(
        await piece(0, MAX_FRAME_HEADER_BYTES),
        await piece(size - ZSTD_TAIL_BYTES, ZSTD_TAIL_BYTES),
        annotations,
      );
    } catch (error) {
      signal?.throwIfAborted();
      log.debug("zstd layer could not be looked at", {
        layer: layer.digest,
        error: String(error),
      });
    }
  }
  return zstdReason(facts, annotations, spanSizeBytes);
}
