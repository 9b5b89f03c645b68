/** Images and registries that say other things of layers than those are. @module */
import {
  decodeIndex,
  encodeIndex,
  makeIndex,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  ztocDescriptor,
  ztocForLayer,
} from "../../lib/formats/soci/mod.ts";
import {
  type Descriptor,
  type Digest,
  MEDIA,
} from "../../lib/formats/oci/mod.ts";
import {
  DEFAULT_WORKLOAD,
  encodePins,
  ORDER_ANNOTATION,
} from "../../lib/formats/order/mod.ts";
import { encodeZtoc, ZtocBuilder } from "../../lib/formats/ztoc/mod.ts";
import {
  type Image,
  type LayerBlob,
  makeImage,
} from "../support/images/mod.ts";
import {
  addLoadOrder,
  type WantedRange,
} from "../support/images/load_order.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";

const SPAN_SIZE = 256 * 1024;

/** A layer of an image, and the ztoc its index names. */
export interface ForgedLayer {
  readonly layer: LayerBlob;
  readonly ztoc: Uint8Array;
  /** What the image's manifest says of the blob's size. */
  readonly size?: number;
}

/** A ztoc of some blob. */
export function ztocOfBlob(blob: Uint8Array, spanSize = SPAN_SIZE): Uint8Array {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize });
  builder.push(new Uint8Array(blob));
  return encodeZtoc(builder.finish().ztoc);
}

/**
 * Puts an image with a v2 index into a registry, by these ztocs; the blobs are the layers'.
 * @param packed what the pack of a load order that the index pins holds; none when not given.
 */
export function pushIndexed(
  registry: TestRegistry,
  repository: string,
  forged: readonly ForgedLayer[],
  packed: readonly WantedRange[] = [],
): { name: string; image: Image } {
  const layers = forged.map(({ layer }) => layer);
  const plain = makeImage({ layers, config: { cmd: ["/bin/sh"] } });
  const ztocs = forged.map(({ layer, ztoc }) => {
    const { digest, size } = registry.addBlob(repository, ztoc);
    return ztocDescriptor({
      ...{ digest, size, spanSizeBytes: SPAN_SIZE },
      layer: { mediaType: MEDIA.ociLayerGzip, digest: layer.digest },
    });
  });
  const pins = packed.length === 0
    ? []
    : [addLoadOrder(registry, repository, plain, packed).order];
  const annotations = {
    [ORDER_ANNOTATION.pins]: encodePins(
      pins.map((digest) => ({ workload: DEFAULT_WORKLOAD, digest })),
    ),
  };
  const index = registry.addManifest(
    repository,
    new Uint8Array(encodeIndex(makeIndex({
      layers: ztocs,
      ...(pins.length > 0 && { annotations }),
    }))),
  );
  const manifest = JSON.parse(new TextDecoder().decode(plain.manifest));
  for (const [at, { size }] of forged.entries()) {
    if (size !== undefined) manifest.layers[at].size = size;
  }
  manifest.annotations = { [SOCI_ANNOTATION.indexDigest]: index.digest };
  registry.addBlob(repository, plain.config);
  for (const { bytes } of layers) registry.addBlob(repository, bytes);
  const { digest } = registry.addManifest(repository, manifest, { tag: "1" });
  return {
    name: `${registry.host}/${repository}:1`,
    image: { ...plain, digest },
  };
}

/** A registry that gives other bytes for layers of a digest. */
export function startLyingRegistry(
  lies: ReadonlyMap<string, Uint8Array>,
): TestRegistry {
  const registry = startRegistry();
  registry.intercept = (path, request) => {
    const bytes = lies.get(path.split("/blobs/")[1] ?? "");
    if (bytes === undefined) return null;
    const length = String(bytes.length);
    if (request.method === "HEAD") {
      return new Response(null, { headers: { "content-length": length } });
    }
    const [, from, to] =
      /bytes=(\d+)-(\d+)/.exec(request.headers.get("range") ?? "") ?? [];
    if (from === undefined) return new Response(new Uint8Array(bytes));
    const part = bytes.slice(Number(from), Number(to) + 1);
    const last = Number(from) + part.length - 1;
    return new Response(new Uint8Array(part), {
      status: 206,
      headers: { "content-range": `bytes ${from}-${last}/${length}` },
    });
  };
  return registry;
}

/** What somebody makes of a blob who knows its size and its first bytes. */
export function beginningOf(
  blob: Uint8Array,
  knownBytes = 64 * 1024,
): Uint8Array {
  const known = new Uint8Array(blob.length);
  known.set(blob.subarray(0, Math.min(knownBytes, blob.length / 4)));
  return known;
}

/** The ztocs of an image's v1 index, by layer digest. */
export async function ztocsOf(
  { url }: Pick<TestRegistry, "url">,
  repository: string,
  { digest, layers }: { digest: Digest; layers: readonly LayerBlob[] },
): Promise<Map<Digest, Uint8Array>> {
  const get = async (path: string) => {
    const response = await fetch(`${url}/v2/${repository}/${path}`);
    return new Uint8Array(await response.arrayBuffer());
  };
  const listed = JSON.parse(
    new TextDecoder().decode(await get(`referrers/${digest}`)),
  );
  const { manifests }: { manifests: Descriptor[] } = listed;
  const found = manifests.find(({ artifactType }) =>
    artifactType === SOCI_MEDIA.indexV1
  );
  const index = decodeIndex(await get(`manifests/${found!.digest}`));
  const ztocs = new Map<Digest, Uint8Array>();
  for (const layer of layers) {
    const ztoc = ztocForLayer(index, layer.digest);
    if (ztoc !== null) {
      ztocs.set(layer.digest, await get(`blobs/${ztoc.digest}`));
    }
  }
  return ztocs;
}
