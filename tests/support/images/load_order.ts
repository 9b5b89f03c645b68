import {
  DEFAULT_WORKLOAD,
  encodeOrderManifest,
  encodePlan,
  ORDER_MEDIA,
  type PackFrame,
  packFrame,
} from "../../../lib/formats/order/mod.ts";
import { type Digest, sha256 } from "../../../lib/formats/oci/mod.ts";
import type { TestRegistry } from "../registry/mod.ts";
import type { Image } from "./image.ts";

/** Bytes of a layer that a start reads. */
export interface WantedRange {
  /** Position in the image. */
  readonly layer: number;
  /** In the uncompressed tar. */
  readonly offset: number;
  /** What the pack holds there: the layer's bytes, or others. */
  readonly bytes: Uint8Array;
}

/** What may be odd about a load order. */
export interface OddOrder {
  readonly workload?: string;
  readonly platform?: string;
  /** Without a pack: order alone. */
  readonly packs?: boolean;
  /** Another manifest's order. */
  readonly subject?: Digest;
  /** Changes the plan's bytes. */
  readonly plan?: (bytes: Uint8Array) => Uint8Array;
  /** Changes a frame before its digest is taken. */
  readonly frame?: (bytes: Uint8Array) => Uint8Array;
  /** Changes what the registry gives for the pack. */
  readonly pack?: (bytes: Uint8Array) => Uint8Array;
}

/**
 * Puts a load order beside an image, as its referrer.
 * @returns the manifest's digest, and the pack's.
 */
export function addLoadOrder(
  registry: TestRegistry,
  repository: string,
  image: Image,
  ranges: readonly WantedRange[],
  odd: OddOrder = {},
): { order: Digest; pack: Digest | null } {
  const { packs = true } = odd;
  const frames: PackFrame[] = [];
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const [firstRange, { bytes }] of ranges.entries()) {
    const packed = packFrame(bytes).bytes;
    const frameBytes = odd.frame?.(packed) ?? packed;
    const frame = { bytes: frameBytes, digest: sha256(frameBytes) };
    frames.push({
      ...{ pack: 0, offset, compressedLength: frame.bytes.length },
      ...{ length: bytes.length, digest: frame.digest },
      ...{ firstRange, rangeCount: 1 },
    });
    parts.push(frame.bytes);
    offset += frame.bytes.length;
  }
  const whole = new Uint8Array(offset);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  const packBytes = odd.pack?.(whole) ?? whole;
  const pack = { digest: sha256(packBytes), size: packBytes.length };
  const digests = [...new Set(image.layers.map(({ digest }) => digest))];
  const planBytes = encodePlan({
    layers: digests,
    packs: packs ? [pack] : [],
    frames: packs ? frames : [],
    ranges: ranges.map(({ layer, offset, bytes }) => ({
      layer: digests.indexOf(image.layers[layer]!.digest),
      offset,
      length: bytes.length,
    })),
  });
  const plan = registry.addBlob(
    repository,
    odd.plan?.(planBytes) ?? planBytes,
    ORDER_MEDIA.plan,
  );
  if (packs) registry.addBlob(repository, packBytes, ORDER_MEDIA.pack);
  const { digest, size, mediaType } = image.descriptor;
  const manifest = encodeOrderManifest({
    workload: odd.workload ?? DEFAULT_WORKLOAD,
    platform: odd.platform ?? "",
    plan,
    packs: packs ? [{ mediaType: ORDER_MEDIA.pack, ...pack }] : [],
    subject: { mediaType, size, digest: odd.subject ?? digest },
  });
  const { digest: order } = registry.addManifest(
    repository,
    new Uint8Array(manifest),
  );
  return { order, pack: packs ? pack.digest : null };
}
