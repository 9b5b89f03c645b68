import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { type Descriptor, DigestStream } from "../../formats/oci/mod.ts";
import { readPlaces } from "../../formats/ztoc/mod.ts";
import { writeAllSync } from "../../host/files/mod.ts";
import { ReusedBlocks } from "../../host/memory/mod.ts";
import {
  type PlannedUnits,
  planUnits,
  readAt,
} from "../../layers/whole/mod.ts";
import { type IndexedImage, ztocOf } from "../../remote/image/mod.ts";
import type { RegistryClient } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { type GatedRequest, rangeInTurn } from "./gated_range.ts";
import type { IndexedImages } from "./images.ts";
import { diskRoom } from "./source.ts";
import { turn } from "./turn.ts";

const log = logger("images");
/** A smaller layer is not worth asking for its ztoc. */
const LEAST_BYTES = 64 * 2 ** 20;
/** Nor is a ztoc that is more than so much of its layer: it comes by the same line. */
const MOST_OF_LAYER = 1 / 6;

/** Where indexes and ztocs come from. */
interface Indexes {
  readonly images: IndexedImages;
  readonly client: RegistryClient;
}

/** After so many bytes the disk is looked at again. */
const LOOK_BYTES = 4 * 2 ** 20;
/** Bytes of one request for a part of a ztoc: as many as are written at a time. */
const PART_BYTES = 2 * 2 ** 20;
/** So many parts are asked for at a time. */
const PARTS_AT_ONCE = 4;

/**
 * Brings a layer's ztoc into a file, in parts, and tells where it says that the layer can be entered. A registry that
 * gives no parts is of no use: units are parts, too.
 */
export type KnownUnits = (
  path: string,
  request: GatedRequest,
) => Promise<PlannedUnits | null>;

/** Asks what the index of an image that is taken whole knows of a layer; null where that is not worth it. */
export function mayBeKnown(
  from: Indexes,
  image: IndexedImage,
  layer: Descriptor,
  signal: AbortSignal,
): KnownUnits | null {
  return layer.size < LEAST_BYTES || availableParallelism() < 2
    ? null
    : (path, request) => knownOf(from, image, layer, { path, request, signal });
}

/** Null: nothing is known. @throws the signal's reason */
async function knownOf(
  { images, client }: Indexes,
  image: IndexedImage,
  layer: Descriptor,
  { path, request, signal }: {
    readonly path: string;
    readonly request: GatedRequest;
    readonly signal: AbortSignal;
  },
): Promise<PlannedUnits | null> {
  const indexed = await images.withIndex(image);
  if (indexed === null) return null;
  const ztoc = ztocOf(indexed, layer.digest);
  if (ztoc === null || ztoc.size > layer.size * MOST_OF_LAYER) return null;
  try {
    const until = AbortSignal.any([signal, images.late()]);
    const { reference } = indexed;
    await bringZtoc(
      ztoc,
      path,
      until,
      (start, end, into, signal) =>
        rangeInTurn(request, client, {
          ...{ repository: reference, digest: ztoc.digest },
          ...{ start, end, into, signal },
        }),
    );
    return await plan(path, ztoc, layer);
  } catch (error) {
    signal.throwIfAborted();
    log.warn("ztoc of a layer that is taken whole is of no use", {
      image: image.reference.toString(),
      layer: layer.digest,
      error: String(error),
    });
    return null;
  }
}

/** Fills memory with bytes of a blob. */
type Fetch = (
  start: number,
  end: number,
  into: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
) => Promise<void>;

/**
 * Brings a ztoc into a file: it may have a hundred MB, and little of it is read, so it is never in memory. The disk is
 * looked at before and meanwhile.
 * @param path of a new file. @throws what `fetch` throws, the signal's reason, Deno's errors; Error where it is
 * another, or has no room
 */
export async function bringZtoc(
  ztoc: Descriptor,
  path: string,
  signal: AbortSignal,
  fetch: Fetch,
): Promise<void> {
  const folder = dirname(path);
  assertRoom(folder, ztoc.size);
  using file = await Deno.open(path, {
    ...{ write: true, create: true, truncate: true, mode: 0o600 },
  });
  const digest = new DigestStream();
  let left = ztoc.size;
  let lookAt = left - LOOK_BYTES;
  for await (const bytes of inParts(ztoc.size, signal, fetch)) {
    if (left <= lookAt) {
      assertRoom(folder, left); // others fill the disk, too
      lookAt = left - LOOK_BYTES;
    }
    digest.update(bytes);
    writeAllSync(file, bytes);
    left -= bytes.length;
  }
  const found = digest.finish();
  if (found !== ztoc.digest) throw new Error(`its digest is ${found}`);
}

/** A blob's bytes in order, by some requests at a time; each part is valid until the next one is asked for. */
async function* inParts(
  size: number,
  signal: AbortSignal,
  fetch: Fetch,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  using memory = new ReusedBlocks(PART_BYTES, PARTS_AT_ONCE);
  const stop = new AbortController();
  const until = AbortSignal.any([signal, stop.signal]);
  const asked: { bytes: Uint8Array<ArrayBuffer>; come: Promise<void> }[] = [];
  try {
    for (let next = 0; next < size || asked.length > 0;) {
      while (next < size && asked.length < PARTS_AT_ONCE) {
        const end = Math.min(size, next + PART_BYTES);
        const bytes = memory.take(end - next);
        const come = fetch(next, end, bytes, until);
        come.catch(() => {}); // told when it is its turn
        asked.push({ bytes, come });
        next = end;
      }
      const { bytes, come } = asked.shift()!;
      await come;
      yield bytes;
      memory.give(bytes);
    }
  } finally {
    stop.abort();
  }
}

function assertRoom(folder: string, bytes: number): void {
  const room = diskRoom(folder);
  if (room >= bytes) return;
  throw new Error(`it takes ${bytes} bytes, and there is room for ${room}`);
}

async function plan(
  path: string,
  ztoc: Descriptor,
  layer: Descriptor,
): Promise<PlannedUnits | null> {
  using file = Deno.openSync(path);
  const read = (into: Uint8Array<ArrayBuffer>, at: number) =>
    readAt(file, into, at);
  const places = await readPlaces({ size: ztoc.size, read }, turn);
  return places === null || places.compressedSize !== layer.size
    ? null
    : planUnits(places);
}
