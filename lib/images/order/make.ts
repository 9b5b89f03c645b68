import { Buffer } from "node:buffer";
import { type Descriptor, type Digest, sha256 } from "../../formats/oci/mod.ts";
import {
  encodeOrderManifest,
  encodePlan,
  type LoadOrder,
  ORDER_MEDIA,
  type OrderRange,
  PLAN_LIMITS,
  type Recording,
  unpackFrame,
} from "../../formats/order/mod.ts";
import { EMPTY_CONFIG, EMPTY_CONFIG_DIGEST } from "../../formats/soci/mod.ts";
import { decodeZtoc, type Ztoc } from "../../formats/ztoc/mod.ts";
import { MEDIA } from "../../formats/oci/mod.ts";
import type {
  ArtifactSink,
  Content,
  LayerSource,
} from "../../remote/content/mod.ts";
import { filesOf, readRanges } from "./layer_ranges.ts";
import { type PackedOrder, packFrames, planFrames } from "./pack.ts";
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
  /** Orders of other images whose packs may be used again. Default: none. */
  readonly shared?: readonly SharedOrder[] | undefined;
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

interface LayerWithZtoc {
  readonly descriptor: Descriptor;
  readonly ztoc: Ztoc;
}

/** The order of another image, whose packs may be used again. */
export interface SharedOrder {
  /** What it says. */
  readonly order: LoadOrder;
  /** Where its packs are. */
  readonly source: LayerSource;
}

/** An order, ready to be put somewhere. */
export interface MadeOrder {
  /** Of its manifest. */
  readonly descriptor: Descriptor;
  /** Blobs and manifest, in the order in which they are put. */
  readonly contents: readonly {
    readonly descriptor: Descriptor;
    readonly content: Content;
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
  /** Bytes of its own pack; 0 where there is none. */
  readonly packBytes: number;
  /** Bytes that come by frames of other images' packs. */
  readonly sharedBytes: number;
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
    : await packAll(request, layers, renumbered, (layer) => ({
      descriptor: known.get(layers[layer]!)!,
      ztoc: ztocs.get(used[layer]!)!,
    }));
  const plan = encodePlan(packed.order);
  const bytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const held = new Set(used);
  const leftOut = recording.touches.filter(({ layer }) => !held.has(layer))
    .reduce((sum, { length }) => sum + length, 0);
  return {
    ...artifactOf(request, plan, packed),
    ranges: packed.order.ranges.length,
    bytes,
    leftOutBytes: leftOut,
  };
}

/** Packs ranges, with frames of others' packs where those are shared and hold the same bytes. */
async function packAll(
  request: MakeOrderRequest,
  layers: readonly Digest[],
  ranges: readonly OrderRange[],
  of: (layer: number) => LayerWithZtoc,
): Promise<PackedOrder> {
  const { shared = [], signal } = request;
  const plans = planFrames(layers, ranges, shared.map(({ order }) => order));
  const read = await readAll(
    request,
    plans.flatMap(({ ranges }) => ranges),
    of,
    layers.length,
  );
  for (const plan of plans) {
    if (plan.kind === "own") continue;
    const { frame, pack } = plan;
    const from = shared.find(({ order }) => order.frames.includes(frame))!;
    const stream = await from.source.stream(
      { mediaType: ORDER_MEDIA.pack, ...pack },
      { offset: frame.offset, length: frame.compressedLength, signal },
    );
    const content = unpackFrame(frame, await new Response(stream).bytes());
    let at = 0;
    for (const range of plan.ranges) {
      const own = Buffer.from(read(range));
      if (own.compare(content, at, at + range.length) !== 0) {
        throw new Error(
          `pack ${pack.digest} of ${from.source.place} does not hold this image's bytes: share no pack of it`,
        );
      }
      at += range.length;
    }
  }
  return await packFrames(layers, plans, read);
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
  of: (layer: number) => LayerWithZtoc,
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
  { recording, subject, shared = [] }: MakeOrderRequest,
  plan: Uint8Array,
  { order, pack }: PackedOrder,
) {
  const { workload, platform } = recording;
  const blob = (mediaType: string, content: Uint8Array) => ({
    descriptor: { mediaType, digest: sha256(content), size: content.length },
    content,
  });
  const planBlob = blob(ORDER_MEDIA.plan, plan);
  const own = pack.length === 0 ? null : blob(ORDER_MEDIA.pack, pack);
  const packs = order.packs.map((one) => {
    if (one.digest === own?.descriptor.digest) return own;
    const descriptor = { mediaType: ORDER_MEDIA.pack, ...one };
    const { source } = shared.find(({ order }) =>
      order.packs.some(({ digest }) => digest === one.digest)
    )!;
    return { descriptor, content: () => source.stream(descriptor) };
  });
  const config = {
    descriptor: {
      mediaType: ORDER_MEDIA.config,
      digest: EMPTY_CONFIG_DIGEST,
      size: EMPTY_CONFIG.length,
    },
    content: EMPTY_CONFIG,
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
    sharedBytes: order.frames
      .filter(({ pack }) =>
        order.packs[pack] && order.packs[pack].digest !== own?.descriptor.digest
      )
      .reduce((sum, { length }) => sum + length, 0),
  };
}

/** Puts an order's blobs and manifest, the manifest last. */
export async function putOrder(
  { contents }: MadeOrder,
  sink: ArtifactSink,
  signal: AbortSignal,
): Promise<void> {
  for (const { descriptor, content } of contents) {
    await sink.put(descriptor, content, { signal });
  }
}
