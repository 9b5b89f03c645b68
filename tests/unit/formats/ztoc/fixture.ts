/** The layers and ztocs that release 0.4.1 of the existing tools made; see tests/fixtures/soci. */
import { parseManifest } from "../../../../lib/formats/oci/mod.ts";

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
