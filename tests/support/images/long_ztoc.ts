import { sha256 } from "../../../lib/formats/oci/mod.ts";
import { encodeZtoc, type ZtocEntry } from "../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../lib/formats/ztoc/checkpoints.ts";

const BLOCK_BYTES = 512;
const MiB = 2 ** 20;
/** Of the tar; a span may have 64 MiB at most. */
const SPAN_BYTES = 60 * MiB;
const FILES_PER_FOLDER = 500;
const NAME_BYTES = 90;

/**
 * A ztoc that lists so many empty files, about 200 bytes each, for a gzip layer of any content: legal in
 * all it says, true or not. A layer of 1 kB is enough for it.
 */
export function longZtoc(
  files: number,
  layer: { readonly bytes: Uint8Array },
): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const nothing = new Uint8Array(0);
  const root = encoder.encode("root");
  const entries: ZtocEntry[] = [];
  for (let file = 0; file < files; file++) {
    const folder = Math.floor(file / FILES_PER_FOLDER);
    const name = `folder-${folder}/file-${file}-`.padEnd(NAME_BYTES, "x");
    entries.push({
      name: encoder.encode(name),
      type: "reg",
      offset: (file + 1) * BLOCK_BYTES,
      size: 0,
      linkname: nothing,
      mode: 0o644,
      uid: file % 1000,
      gid: 0,
      uname: root,
      gname: root,
      modTime: "2024-01-01T00:00:00Z",
      devMajor: 0,
      devMinor: 0,
      xattrs: [],
    });
  }
  const uncompressedSize = (files + 2) * BLOCK_BYTES;
  const spans = Math.ceil(uncompressedSize / SPAN_BYTES);
  return encodeZtoc({
    version: "0.9",
    buildTool: "a long list",
    compressedSize: layer.bytes.length,
    uncompressedSize,
    entries,
    compression: "gzip",
    spanDigests: Array.from({ length: spans }, () => sha256(nothing)),
    checkpoints: encodeCheckpoints({
      version: 2,
      spanSize: SPAN_BYTES,
      checkpoints: Array.from({ length: spans }, (_, span) => ({
        in: 10 + span,
        out: span * SPAN_BYTES,
        bits: 0,
        window: new Uint8Array(32_768),
      })),
    }),
  }) as Uint8Array<ArrayBuffer>;
}
