import {
  type Descriptor,
  type Digest,
  isDigest,
  layerCompression,
} from "../../formats/oci/mod.ts";
import type { MadeZtoc } from "../../indexes/indexing/mod.ts";
import type { OpenLayer } from "../../layers/serving/mod.ts";
import { wasEmptied } from "../../layers/store/mod.ts";
import { RegistryPlace } from "../../remote/content/mod.ts";
import { discoverIndex, type IndexedImage } from "../../remote/image/mod.ts";
import type { RegistryClient } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  DEFAULT_SPAN_SIZE_BYTES,
  type WindowBytes,
} from "../../formats/ztoc/mod.ts";
import type { Claimant, Claimants } from "./claimants.ts";
import { nameOf } from "./source.ts";
import type { IndexMissing } from "./whole_options.ts";

const log = logger("images");

/** The container that waits for the image has the disk and the line to itself for so long, ms. */
const AFTER_MS = 5_000;
/** One image's index takes no longer, ms. */
const TIMEOUT_MS = 10 * 60_000;
/** A repository that took no index is asked no more for so long, ms. */
const REFUSED_MS = 3_600_000;
/** The most repositories that are remembered, and images that wait. */
const MOST = 256;
/** Smaller layers are in no index, as with `build-index`: a read costs no less than all of them. */
const LEAST_LAYER_BYTES = 10 * 2 ** 20;
/** Nor are those of a larger ztoc, which would hold up the daemon. */
const MOST_ZTOC_BYTES = 32 * 2 ** 20;

/** Spans as `build-index` makes them; of larger layers as large as the existing tools make them. */
const SPAN_BYTES = 2 ** 20;
const SPANS_FOR_BYTES = 256 * 2 ** 20;

/** How a layer is indexed in passing. */
export function checkpointsOf(
  { size }: Pick<Descriptor, "size">,
  missing: IndexMissing,
): { readonly spanSizeBytes: number; readonly windows: WindowBytes } {
  return missing === "push"
    ? {
      spanSizeBytes: size > SPANS_FOR_BYTES
        ? DEFAULT_SPAN_SIZE_BYTES
        : SPAN_BYTES,
      windows: "used",
    }
    : { spanSizeBytes: DEFAULT_SPAN_SIZE_BYTES, windows: "all" };
}

/** A layer that was taken whole, and where its ztoc is. */
interface IndexedLayerFile {
  /** As the image's manifest names it. */
  readonly layer: Descriptor;
  /** Of the ztoc. */
  readonly ztoc: Digest;
  /** A file with it. */
  readonly path: string;
}

/**
 * Gives images that were taken whole the index that their registry lacks: the ztocs are there, the same pass made them.
 * It is done when the image is shown, for one image after the other, and nobody waits for it.
 *
 * Only the credentials of that pull are used: if the repository has others by then, nothing is pushed. The registry is
 * asked for an index first, and again before one is put; two nodes that are at it at the same moment put the same one.
 */
export class MissingIndexes implements Disposable {
  readonly #client: RegistryClient;
  readonly #claimants: Claimants;
  readonly #stop = new AbortController();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #refused = new Map<string, number>();
  #turn: Promise<void> = Promise.resolve();

  /** Pushes nothing yet. Client and claimants stay the caller's. */
  constructor(client: RegistryClient, claimants: Claimants) {
    this.#client = client;
    this.#claimants = claimants;
  }

  /** An image without an index is shown. @param layers those of its layers that are served, in any order. */
  add(
    image: IndexedImage,
    claimant: Claimant,
    layers: readonly OpenLayer[],
  ): void {
    const key = `${claimant.id} ${image.descriptor.digest}`;
    const wanted = indexedFiles(image, layers);
    if (
      wanted.length === 0 || this.#timers.has(key) ||
      this.#timers.size >= MOST || this.#stop.signal.aborted
    ) return;
    const timer = setTimeout(() => {
      this.#turn = this.#turn
        .then(() => this.#push(image, claimant, wanted))
        .finally(() => this.#timers.delete(key));
    }, AFTER_MS);
    Deno.unrefTimer(timer);
    this.#timers.set(key, timer);
  }

  async #push(
    image: IndexedImage,
    claimant: Claimant,
    layers: readonly IndexedLayerFile[],
  ): Promise<void> {
    const { reference } = image;
    const name = nameOf(reference);
    if ((this.#refused.get(name) ?? 0) > Date.now()) return;
    const of = {
      image: reference.toString(),
      manifest: image.descriptor.digest,
    };
    const signal = AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(TIMEOUT_MS),
    ]);
    try {
      const now = await this.#claimants.of(claimant.namespace, reference);
      if (now.id !== claimant.id) {
        log.info("index is not pushed: the credentials are others by now", of);
        return;
      }
      if (await this.#hasIndex(image, signal)) {
        log.info("image has an index by now, none is pushed", of);
        return;
      }
      const { putMadeIndex } = await import("../../indexes/indexing/mod.ts");
      const made = await putMadeIndex(
        image.descriptor,
        await ztocsIn(layers),
        {
          sink: new RegistryPlace(this.#client, reference),
          beforeIndex: async () => !await this.#hasIndex(image, signal),
          signal,
        },
      );
      log.info(
        made === null
          ? "another node was first, no index is pushed"
          : "index was pushed",
        { ...of, index: made?.descriptor.digest, companion: made?.companion },
      );
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (this.#refused.size >= MOST) this.#refused.clear();
      this.#refused.set(name, Date.now() + REFUSED_MS);
      log.warn("index is not pushed, the image is served all the same", {
        ...of,
        error: String(error),
      });
    }
  }

  /** @throws where the registry does not tell. */
  async #hasIndex(
    { reference, descriptor: { digest } }: IndexedImage,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { bytes } = await this.#client.manifest(reference, {
      digest,
      signal,
    });
    return await discoverIndex(
      this.#client,
      reference,
      { digest, bytes },
      { v1: true, v2: true, signal },
    ) !== null;
  }

  /** Pushes nothing any more. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the daemon is stopping"));
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }
}

/** The layers that are worth a ztoc and have one of their blob: their bytes were proven before they were shown. */
function indexedFiles(
  image: IndexedImage,
  layers: readonly OpenLayer[],
): IndexedLayerFile[] {
  const open = new Map(
    layers.map((layer) => [layer.identity.layerDigest, layer]),
  );
  return image.layers.flatMap(({ descriptor }) => {
    const { digest, size, mediaType } = descriptor;
    const layer = open.get(digest);
    const ztoc = layer?.identity.ztocDigest;
    const isOfBlob = layerCompression(mediaType) !== "zstd" &&
      layer?.compressedSize === size;
    if (size < LEAST_LAYER_BYTES || !isOfBlob) return [];
    // A layer that gave up its bytes still has the ztoc that was made of them here.
    const isMadeHere = layer.isWhole || wasEmptied(layer.folder);
    if (!isMadeHere || !isDigest(ztoc)) return [];
    return [{ layer: descriptor, ztoc, path: `${layer.folder}/ztoc` }];
  });
}

/** Those that may be pushed; a file that is gone is an error, as the image is gone too. */
async function ztocsIn(
  layers: readonly IndexedLayerFile[],
): Promise<MadeZtoc[]> {
  const found: MadeZtoc[] = [];
  for (const { layer, ztoc, path } of layers) {
    if ((await Deno.stat(path)).size > MOST_ZTOC_BYTES) continue;
    found.push({ layer, digest: ztoc, read: () => Deno.readFile(path) });
  }
  return found;
}
