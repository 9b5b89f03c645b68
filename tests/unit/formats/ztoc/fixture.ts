/** The layers and ztocs that release 0.4.1 of the existing tools made; see tests/fixtures/soci. */
import {
  type Checkpoint,
  GzipIndexer,
} from "../../../../lib/formats/deflate/mod.ts";
import { parseManifest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import { type Ztoc, ZtocBuilder } from "../../../../lib/formats/ztoc/mod.ts";

const ROOT = new URL("../../../fixtures/soci/", import.meta.url);

/** A blob of the fixture's layout. */
export function blob(digest: string): Uint8Array {
  return Deno.readFileSync(
    new URL(`blobs/${digest.replace(":", "/")}`, ROOT),
  );
}

/** The digest of the fixture's SOCI index. */
export const INDEX_DIGEST = Deno.readTextFileSync(
  new URL("soci-index-digest", ROOT),
).trim();

/** Every ztoc of the fixture and the layer it was made of. */
export const ZTOCS = parseManifest(blob(INDEX_DIGEST)).layers.map((layer) => {
  const annotations = layer.annotations!;
  return {
    digest: layer.digest,
    layerDigest: annotations["com.amazon.soci.image-layer-digest"]!,
    compression:
      annotations["com.amazon.soci.image-layer-mediaType"]!.endsWith("gzip")
        ? "gzip" as const
        : "uncompressed" as const,
  };
});

/**
 * A gzip layer's ztoc as the existing tools make it: with every checkpoint, also where several are at
 * the tar's beginning (their rule is in `golden_test.ts` of `deflate`).
 */
export function ztocWithEmptySpans(layer: Uint8Array, spanSize: number): Ztoc {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize });
  builder.push(layer);
  const checkpoints: Checkpoint[] = [];
  const indexer = new GzipIndexer({
    spanSize,
    onOutput: () => {},
    onCheckpoint: (checkpoint) => checkpoints.push(checkpoint),
  });
  indexer.push(layer);
  indexer.finish();
  return {
    ...builder.finish().ztoc,
    checkpoints: encodeCheckpoints({ version: 2, spanSize, checkpoints }),
    spanDigests: checkpoints.map(({ in: at, bits }, i) =>
      sha256(
        layer.slice(
          at - (bits > 0 ? 1 : 0),
          checkpoints[i + 1]?.in ?? layer.length,
        ),
      )
    ),
  };
}
