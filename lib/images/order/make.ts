import { type Descriptor, type Digest, sha256 } from "../../formats/oci/mod.ts";
import {
  encodeOrderManifest,
  encodePlan,
  ORDER_MEDIA,
  type OrderRange,
  PLAN_LIMITS,
  type Recording,
} from "../../formats/order/mod.ts";
import { EMPTY_CONFIG, EMPTY_CONFIG_DIGEST } from "../../formats/soci/mod.ts";
import { decodeZtoc, type Ztoc } from "../../formats/ztoc/mod.ts";
import { MEDIA } from "../../formats/oci/mod.ts";
import type { ArtifactSink, LayerSource } from "../../remote/content/mod.ts";
import { filesOf, readRanges } from "./layer_ranges.ts";
import { packRanges } from "./pack.ts";
import { rangesOf } from "./ranges.ts";

/** What an order is made of. */
export interface MakeOrderRequest {
  /** What was read. */
  readonly recording: Recording;
  /** Layers of the image. Touches of others are passed over. */
  readonly layers: readonly Descriptor[];
  /** The ztoc of a layer; null where the image's index has none. */
  readonly ztocOf: (layer: Digest) => Descriptor | null;
  /** Where layers and ztocs are. */
  readonly source: LayerSource;
  /** `none`: the order alone. */
  readonly pack: "made" | "none";
  /** See `RangeOptions`. */
  readonly readAheadBytes: number;
  /** The most bytes of all ranges, uncompressed. */
  readonly maxBytes: number;
  /** The image manifest it is to be a referrer of; none where an index will pin it. */
  readonly subject?: Pick<Descriptor, "mediaType" | "digest" | "size">;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told after each span that was read for the pack. */
  readonly onSpan: () => void;
}

/** An order, ready to be put somewhere. */
export interface MadeOrder {
  /** Of its manifest. */
  readonly descriptor: Descriptor;
  /** Blobs and manifest, in the order in which they are put. */
  readonly contents: readonly {
    readonly descriptor: Descriptor;
    readonly bytes: Uint8Array;
  }[];
  /** Which workload it is for. */
  readonly workload: string;
  /** `os/arch[/variant]`. */
  readonly platform: string;
  /** How many ranges the plan has. */
  readonly ranges: number;
  /** Bytes of all ranges. */
  readonly bytes: number;
  /** Bytes of the plan. */
  readonly planBytes: number;
  /** Bytes of the pack; 0 where there is none. */
  readonly packBytes: number;
  /** Touched bytes that are not in it: of layers that the image does not have, or over the limit. */
  readonly leftOutBytes: number;
}

/**
 * Makes the load order of a recording: the plan, and the pack out of the layers' own spans.
 * @throws Error when the recording holds nothing of the image; OrderError; the source's errors
 */
export async function makeOrder(request: MakeOrderRequest): Promise<MadeOrder> {
  const { recording, signal, source } = request;
  const known = new Map(request.layers.map((layer) => [layer.digest, layer]));
  const ztocs = new Map<number, Ztoc>();
  for (const [number, digest] of recording.layers.entries()) {
    const ztoc = known.has(digest) ? request.ztocOf(digest) : null;
    if (ztoc === null) continue;
    ztocs.set(number, decodeZtoc(await source.bytes(ztoc, { signal })));
  }
  const touches = recording.touches.flatMap((touch) => {
    const size = ztocs.get(touch.layer)?.uncompressedSize ?? 0;
    const length = Math.min(touch.length, size - touch.offset);
    return length > 0 ? [{ ...touch, length }] : [];
  });
  if (touches.length === 0) {
    throw new Error(
      "the recording holds nothing of this image's indexed layers: it is of another image, or the image has no index (make one with `soci-deno build-index`)",
    );
  }
  const files = recording.layers.map((_, number) => {
    const ztoc = ztocs.get(number);
    return ztoc === undefined ? null : filesOf(ztoc);
  });
  const ranges = inLayers(
    rangesOf({ touches, layers: recording.layers }, {
      files,
      readAheadBytes: request.readAheadBytes,
      maxRangeBytes: PLAN_LIMITS.frameBytes,
      maxBytes: Math.min(request.maxBytes, PLAN_LIMITS.totalBytes),
    }),
    ztocs,
  ).slice(0, PLAN_LIMITS.ranges / 2); // frames cut some in two
  const used = [...new Set(ranges.map(({ layer }) => layer))];
  const layers = used.map((number) => recording.layers[number]!);
  const renumbered = ranges.map((range) => ({
    ...range,
    layer: used.indexOf(range.layer),
  }));
  const packed = request.pack === "none"
    ? {
      order: { layers, ranges: renumbered, packs: [], frames: [] },
      pack: new Uint8Array(0),
    }
    : await packRanges(
      layers,
      renumbered,
      await readAll(request, renumbered, (layer) => ({
        descriptor: known.get(layers[layer]!)!,
        ztoc: ztocs.get(used[layer]!)!,
      }), layers.length),
    );
  const plan = encodePlan(packed.order);
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const held = new Set(used);
  const leftOut = recording.touches.filter(({ layer }) => !held.has(layer))
    .reduce((sum, { length }) => sum + length, 0);
  return {
    ...artifactOf(request, plan, packed.pack),
    ranges: packed.order.ranges.length,
    bytes,
    leftOutBytes: leftOut,
  };
}

/** Cuts ranges at the end of their layer. */
function inLayers(
  ranges: readonly OrderRange[],
  ztocs: ReadonlyMap<number, Ztoc>,
): OrderRange[] {
  return ranges.flatMap(({ layer, offset, length }) => {
    const size = ztocs.get(layer)?.uncompressedSize ?? 0;
    const held = Math.min(length, size - offset);
    return held > 0 ? [{ layer, offset, length: held }] : [];
  });
}

/** Reads all ranges, layer by layer. @returns what gives the bytes of each range, or of a part of one. */
async function readAll(
  { source, signal, onSpan }: MakeOrderRequest,
  ranges: readonly OrderRange[],
  of: (layer: number) => {
    readonly descriptor: Descriptor;
    readonly ztoc: Ztoc;
  },
  layers: number,
): Promise<(range: OrderRange) => Uint8Array> {
  const held: { readonly starts: number[]; readonly bytes: Uint8Array[] }[] =
    [];
  for (let layer = 0; layer < layers; layer++) {
    const own = ranges.filter((range) => range.layer === layer)
      .sort((a, b) => a.offset - b.offset);
    const { descriptor, ztoc } = of(layer);
    const bytes = await readRanges(source, descriptor, ztoc, own, {
      signal,
      onSpan,
    });
    held.push({ starts: own.map(({ offset }) => offset), bytes });
  }
  return ({ layer, offset, length }) => {
    const { starts, bytes } = held[layer]!;
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    const at = offset - starts[low - 1]!;
    return bytes[low - 1]!.subarray(at, at + length);
  };
}

function artifactOf(
  { recording: { workload, platform }, subject }: MakeOrderRequest,
  plan: Uint8Array,
  pack: Uint8Array,
) {
  const blob = (mediaType: string, bytes: Uint8Array) => ({
    descriptor: { mediaType, digest: sha256(bytes), size: bytes.length },
    bytes,
  });
  const planBlob = blob(ORDER_MEDIA.plan, plan);
  const packs = pack.length === 0 ? [] : [blob(ORDER_MEDIA.pack, pack)];
  const config = {
    descriptor: {
      mediaType: ORDER_MEDIA.config,
      digest: EMPTY_CONFIG_DIGEST,
      size: EMPTY_CONFIG.length,
    },
    bytes: EMPTY_CONFIG,
  };
  const manifest = blob(
    MEDIA.ociManifest,
    encodeOrderManifest({
      workload,
      platform,
      plan: planBlob.descriptor,
      packs: packs.map(({ descriptor }) => descriptor),
      ...(subject !== undefined && { subject }),
    }),
  );
  return {
    descriptor: manifest.descriptor,
    contents: [config, ...packs, planBlob, manifest],
    workload,
    platform,
    planBytes: plan.length,
    packBytes: pack.length,
  };
}

/** Puts an order's blobs and manifest, the manifest last. */
export async function putOrder(
  { contents }: MadeOrder,
  sink: ArtifactSink,
  signal: AbortSignal,
): Promise<void> {
  for (const { descriptor, bytes } of contents) {
    await sink.put(descriptor, bytes, { signal });
  }
}
