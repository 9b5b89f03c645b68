import { DEFAULT_SPAN_SIZE_BYTES } from "../../formats/ztoc/mod.ts";
import {
  descriptorJson,
  type Digest,
  documentBytes,
  MEDIA,
  sha256,
} from "../../formats/oci/mod.ts";
import { readIndexedImage } from "../../remote/image/mod.ts";
import { readyForTls } from "../../remote/network/mod.ts";
import { parseReference, RegistryClient } from "../../remote/registry/mod.ts";
import {
  encodeIndex,
  makeIndex,
  SOCI_MEDIA,
  ztocDescriptor,
  ztocForLayer,
} from "../../formats/soci/mod.ts";

const ROUNDS = 20;
const LAYERS = 4;
const HOST = "warm-up.invalid";
const REFERRERS = "referrers";

/**
 * Asks a fake registry in memory for an image, its index and its ztocs, as a pull does, so that V8 has
 * compiled the code when a pull comes. Nothing is sent. Yields to other work after each round.
 * @param wanted called before each round; false ends it, because a real pull warms up the code better.
 */
export async function warmUpRegistry(wanted: () => boolean): Promise<void> {
  await readyForTls();
  const { digest, files } = madeUpImage();
  const answer = (input: string | URL | Request) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    const [name = "", kind] = pathname.split("/").reverse();
    const file = files.get(kind === "referrers" ? REFERRERS : name);
    return Promise.resolve(
      new Response(file?.bytes ?? null, {
        status: file === undefined ? 404 : 200,
        headers: { "content-type": file?.mediaType ?? MEDIA.octetStream },
      }),
    );
  };
  using client = new RegistryClient({ fetch: answer, logged: false });
  const reference = parseReference(`${HOST}/image@${digest}`);
  for (let round = 0; round < ROUNDS; round++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (!wanted()) return;
    const { index, layers } = await readIndexedImage(
      client,
      reference,
      digest,
      { v1: true, v2: true },
    );
    if (index === null) return;
    await Promise.all(layers.map(async ({ descriptor }) => {
      const ztoc = ztocForLayer(index.index, descriptor.digest);
      if (ztoc === null) return;
      await client.blobBytes(reference, ztoc, { maxBytes: 2 ** 20 });
    }));
  }
}

interface File {
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** An image with an index: its files by digest, and the list of what refers to it. */
function madeUpImage(): { digest: Digest; files: Map<string, File> } {
  const files = new Map<string, File>();
  const add = (mediaType: string, content: Uint8Array) => {
    const bytes = new Uint8Array(content);
    const digest = sha256(bytes);
    files.set(digest, { mediaType, bytes });
    return { mediaType, digest, size: bytes.length };
  };
  const layers = Array.from(
    { length: LAYERS },
    (_, layer) => add(MEDIA.ociLayerGzip, Uint8Array.of(layer)),
  );
  const diffIds = layers.map(({ digest }) => digest); // of something, here
  const config = add(
    MEDIA.ociConfig,
    documentBytes({ rootfs: { diff_ids: diffIds } }),
  );
  const image = add(
    MEDIA.ociManifest,
    documentBytes({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: descriptorJson(config),
      layers: layers.map(descriptorJson),
    }),
  );
  const index = makeIndex({
    subject: image,
    layers: layers.map((layer, at) => {
      const ztoc = new Uint8Array(64 * 1024).fill(at);
      const { digest, size } = add(MEDIA.octetStream, ztoc);
      return ztocDescriptor({
        digest,
        size,
        layer,
        spanSizeBytes: DEFAULT_SPAN_SIZE_BYTES,
      });
    }),
  });
  const { digest, size } = add(MEDIA.ociManifest, encodeIndex(index));
  files.set(REFERRERS, {
    mediaType: MEDIA.ociIndex,
    bytes: new Uint8Array(documentBytes({
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: [{
        mediaType: MEDIA.ociManifest,
        digest,
        size,
        artifactType: SOCI_MEDIA.indexV1,
      }],
    })),
  });
  return { digest: image.digest, files };
}
