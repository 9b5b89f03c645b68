import { type Digest, parsePlatform } from "../../formats/oci/mod.ts";
import type { OrderTouch, Recording } from "../../formats/order/mod.ts";
import { BLOCK_BYTES } from "../../formats/tar/mod.ts";
import {
  decodeZtoc,
  type Ztoc,
  type ZtocEntry,
} from "../../formats/ztoc/mod.ts";
import { parseReference } from "../../remote/registry/mod.ts";

import {
  openOrderedImage,
  type OrderedImage,
  ztocsOfImage,
} from "./image_orders.ts";
import { fileBefore } from "./file_before.ts";

/** The files of one layer; null where it has no ztoc. */
export interface CarryLayer {
  /** Of the layer. */
  readonly digest: Digest;
  /** As its ztoc lists them. */
  readonly entries: Ztoc["entries"] | null;
}

/** A file of a layer, by what tells that another one is the same. */
interface KnownFile {
  readonly key: string;
  readonly offset: number;
  /** With what fills its last block. */
  readonly end: number;
}

/**
 * What a recording of an older image says of a newer one: touches of layers that the newer one has, and
 * those of files that it has in another layer with equal path, size and time. Where such a file's bytes are
 * others, the order names bytes that nobody reads first: no byte is taken from the older image.
 * @param from layers of the older image.
 * @param to all layers of the newer one, lowest first.
 */
export function carriedOver(
  recording: Recording,
  from: readonly CarryLayer[],
  to: readonly CarryLayer[],
): Recording {
  const kept = new Set(to.map(({ digest }) => digest));
  const layers = [...recording.layers];
  const places = visibleFiles(to);
  const files = recording.layers.map((digest) => {
    if (kept.has(digest)) return null;
    const old = from.find((one) => one.digest === digest);
    return filesOf(old?.entries ?? []);
  });
  const touches = recording.touches.flatMap((touch): OrderTouch[] => {
    const known = files[touch.layer] ?? null;
    if (known === null) return [touch];
    const file = fileAt(known, touch.offset);
    const place = file === null ? undefined : places.get(file.key);
    if (file === null || place === undefined) return [];
    const length = Math.min(touch.length, file.end - touch.offset);
    let layer = layers.indexOf(place.digest);
    if (layer < 0) layer = layers.push(place.digest) - 1;
    const offset = place.file.offset + touch.offset - file.offset;
    return [{ ...touch, layer, offset, length }];
  });
  return { ...recording, layers, touches };
}

/** Of each path the file that the image shows, by its key. */
function visibleFiles(
  layers: readonly CarryLayer[],
): Map<string, { digest: Digest; file: KnownFile }> {
  const byPath = new Map<string, { digest: Digest; file: KnownFile }>();
  for (const { digest, entries } of layers) {
    for (const file of filesOf(entries ?? [])) {
      byPath.set(pathOf(file.key), { digest, file });
    }
  }
  return new Map([...byPath.values()].map((one) => [one.file.key, one]));
}

const decoder = new TextDecoder();

function filesOf(entries: readonly ZtocEntry[]): KnownFile[] {
  return entries.filter(({ type, size }) => type === "reg" && size > 0)
    .map(({ name, offset, size, modTime }) => ({
      key: `${size} ${modTime} ${
        decoder.decode(name).replace(/^(\.?\/)+/, "")
      }`,
      offset,
      end: offset + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES,
    }));
}

/** A size and a time hold no space. */
function pathOf(key: string): string {
  return key.slice(key.indexOf(" ", key.indexOf(" ") + 1) + 1);
}

function fileAt(files: readonly KnownFile[], offset: number): KnownFile | null {
  const file = fileBefore(files, offset);
  return file !== undefined && offset < file.end ? file : null;
}

/**
 * Makes a recording of another tag of the image's repository one of the image, as far as that tag is still
 * there and indexed; see {@linkcode carriedOver}. Any other is given back as it is.
 * @throws the registry's errors
 */
export async function carryOver(
  recording: Recording,
  image: OrderedImage,
  signal: AbortSignal,
): Promise<Recording> {
  const { client, reference } = image;
  const { layers } = image.image.manifest;
  const kept = new Set(layers.map(({ digest }) => digest));
  const old = parseReference(recording.image);
  if (
    old.host !== reference.host || old.repository !== reference.repository ||
    recording.layers.every((layer) => kept.has(layer))
  ) return recording;
  const platform = recording.platform === ""
    ? image.image.platform
    : parsePlatform(recording.platform);
  const before = await openOrderedImage(
    client,
    old,
    platform ?? undefined,
    signal,
  );
  const gone = before.image.manifest.layers.filter(({ digest }) =>
    recording.layers.includes(digest) && !kept.has(digest)
  );
  if (gone.length === 0) return recording;
  return carriedOver(
    recording,
    await filesOfLayers(before, gone, signal),
    await filesOfLayers(image, layers, signal),
  );
}

async function filesOfLayers(
  image: OrderedImage,
  layers: readonly { readonly digest: Digest }[],
  signal: AbortSignal,
): Promise<CarryLayer[]> {
  const ztocOf = await ztocsOfImage(image, signal);
  const found: CarryLayer[] = [];
  for (const { digest } of layers) {
    const ztoc = ztocOf(digest);
    const entries = ztoc === null
      ? null
      : decodeZtoc(await image.place.bytes(ztoc, { signal })).entries;
    found.push({ digest, entries });
  }
  return found;
}
