import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import { type Digest, sha256 } from "../../../lib/formats/oci/mod.ts";
import { joinBytes, TarBuilder } from "./tar_builder.ts";

/**
 * How a layer is packed. `gzip-multi` is a chain of gzip members, one for every MiB of tar, `zstd-multi`
 * of zstd frames; `none` leaves the tar as it is.
 */
export type LayerPacking =
  | "gzip"
  | "gzip-multi"
  | "zstd"
  | "zstd-multi"
  | "none";

/** A layer as stored in a registry. */
export interface LayerBlob {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  /** Digest of the tar inside. */
  readonly diffId: Digest;
  /** Bytes of the tar inside. */
  readonly tarSize: number;
  readonly packing: LayerPacking;
}

const MEMBER_BYTES = 2 ** 20;

/** Packs a tar archive. The same tar and options give the same bytes. */
export function layerBlob(
  tar: Uint8Array | TarBuilder,
  options: { compression?: LayerPacking; level?: number } = {},
): LayerBlob {
  const { compression = "gzip", level } = options;
  const plain = tar instanceof TarBuilder ? tar.finish() : tar;
  const bytes = pack(plain, compression, level);
  return {
    bytes,
    digest: sha256(bytes),
    diffId: sha256(plain),
    tarSize: plain.length,
    packing: compression,
  };
}

function pack(
  plain: Uint8Array,
  packing: LayerPacking,
  level = packing.startsWith("zstd") ? 3 : 6,
): Uint8Array {
  switch (packing) {
    case "none":
      return plain;
    case "gzip":
      return new Uint8Array(gzipSync(plain, { level }));
    case "gzip-multi":
    case "zstd-multi": {
      const one = packing === "gzip-multi" ? "gzip" : "zstd";
      const members: Uint8Array[] = [];
      for (let at = 0; at < plain.length; at += MEMBER_BYTES) {
        members.push(pack(plain.subarray(at, at + MEMBER_BYTES), one, level));
      }
      return joinBytes(members);
    }
    case "zstd":
      return new Uint8Array(zstdCompressSync(plain, {
        params: { [constants.ZSTD_c_compressionLevel]: level },
      }));
  }
}
