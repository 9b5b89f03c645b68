import { gzipSync } from "node:zlib";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";

const encoder = new TextEncoder();

/** A file of a layer; without text, a directory. */
export type LayerFile = readonly [path: string, text?: string];

/** A blob and what it is called by. */
export interface Blob {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly mediaType: string;
}

/** A small image: everything that would be in a registry. */
export interface SmallImage {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly diffIds: readonly Digest[];
  /** Names of the layers' snapshots. */
  readonly chainIds: readonly string[];
}

/** An image for this machine with these layers. */
export function smallImage(layers: readonly LayerFile[][]): SmallImage {
  const tars = layers.map(tar);
  const diffIds = tars.map(sha256);
  const chainIds: string[] = [];
  for (const diffId of diffIds) {
    const below = chainIds.at(-1);
    chainIds.push(
      below === undefined
        ? diffId
        : sha256(encoder.encode(`${below} ${diffId}`)),
    );
  }
  const blobs = tars.map((bytes) =>
    blob(
      gzipSync(bytes),
      "application/vnd.oci.image.layer.v1.tar+gzip",
    )
  );
  const config = jsonBlob("application/vnd.oci.image.config.v1+json", {
    architecture: Deno.build.arch === "x86_64" ? "amd64" : "arm64",
    os: "linux",
    config: {},
    rootfs: { type: "layers", diff_ids: diffIds },
  });
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const manifest = jsonBlob(mediaType, {
    schemaVersion: 2,
    mediaType,
    config: descriptor(config),
    layers: blobs.map(descriptor),
  });
  return { manifest, config, layers: blobs, diffIds, chainIds };
}

/** The image as an OCI archive that carries a name. */
export function ociArchive(image: SmallImage, name: string): Uint8Array {
  const blobs = [image.manifest, image.config, ...image.layers];
  const index = {
    schemaVersion: 2,
    manifests: [{
      ...descriptor(image.manifest),
      annotations: { "io.containerd.image.name": name },
    }],
  };
  return tar([
    ["oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" })],
    ["index.json", JSON.stringify(index)],
    ...blobs.map(({ digest, bytes }) =>
      [`blobs/sha256/${digest.slice("sha256:".length)}`, bytes] as const
    ),
  ]);
}

/** Digest, size and media type of a blob. */
export function descriptor({ mediaType, digest, bytes }: Blob) {
  return { mediaType, digest, size: bytes.length };
}

function blob(bytes: Uint8Array, mediaType: string): Blob {
  return { bytes, digest: sha256(bytes), mediaType };
}

function jsonBlob(mediaType: string, value: unknown): Blob {
  return blob(encoder.encode(JSON.stringify(value)), mediaType);
}

/** A ustar archive of files and directories that belong to root. */
function tar(
  files: readonly (readonly [path: string, content?: string | Uint8Array])[],
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [path, content] of files) {
    const bytes = typeof content === "string"
      ? encoder.encode(content)
      : content ?? new Uint8Array();
    parts.push(header(path, bytes.length, content === undefined), bytes);
    parts.push(new Uint8Array(-bytes.length & 511));
  }
  parts.push(new Uint8Array(1024));
  const result = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function header(path: string, size: number, directory: boolean): Uint8Array {
  const bytes = new Uint8Array(512);
  const put = (at: number, text: string) => bytes.set(encoder.encode(text), at);
  const octal = (value: number, digits: number) =>
    value.toString(8).padStart(digits, "0") + "\0";
  put(0, path);
  put(100, octal(directory ? 0o755 : 0o644, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(1_700_000_000, 11));
  put(148, " ".repeat(8));
  put(156, directory ? "5" : "0");
  put(257, "ustar\x0000");
  put(148, octal(bytes.reduce((sum, byte) => sum + byte, 0), 6) + " ");
  return bytes;
}
