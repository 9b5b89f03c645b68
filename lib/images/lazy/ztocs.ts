import type { Descriptor } from "../../formats/oci/mod.ts";
import { type CompressedZtoc, SociError } from "../../formats/soci/mod.ts";
import { MAX_ZTOC_BYTES } from "../../formats/ztoc/mod.ts";
import type { IndexedImage } from "../../remote/image/mod.ts";
import {
  type RegistryClient,
  RegistryError,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { Arrivals } from "./arrivals.ts";
import { unpackZtoc } from "./unpack_ztoc.ts";
import { ZtocInParts } from "./ztoc_in_parts.ts";
import type { ArrivedZtoc } from "../../layers/serving/mod.ts";

const log = logger("images");
/** A larger ztoc is not opened by its head: both are held for a moment, and compared. */
const MAX_AHEAD_BYTES = 32 * 2 ** 20;
/** How often a compressed ztoc on its way is looked at, ms. */
const LOOK_MS = 1000;
/** So often in a row: this process itself may have been busy. */
const SLOW_LOOKS = 2;
/** One that would take longer than this in all is not waited for alone, ms. */
const PATIENCE_MS = 8000;

/** What is fetched of which image. */
interface Wanted {
  readonly image: Pick<
    IndexedImage,
    "reference" | "roundTripMs" | "companion" | "compressedZtocs"
  >;
  readonly ztoc: Descriptor;
}

/**
 * Fetches ztocs: compressed, as the companion of the index has them, else as they are. Nothing of a
 * companion is believed: what comes of it is the ztoc, by its digest, or of no use. Then the ztoc is
 * fetched as it is, and so it is beside a companion that is slow.
 */
export class ZtocFetcher {
  readonly #arrivals = new Arrivals();
  /** Manifests of companions that held something else. */
  readonly #useless = new WeakSet<Wanted["image"]["compressedZtocs"]>();

  /** Nothing is asked yet; the client stays the caller's. */
  constructor(private readonly client: RegistryClient) {}

  /** The ztoc's bytes, which have its digest. @throws RegistryError; the signal's reason */
  async fetch(
    { image, ztoc }: Wanted,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { reference, roundTripMs, compressedZtocs } = image;
    const compressed = (await compressedZtocs).get(ztoc.digest);
    const inFlight = (bytes: number) => ({
      ...{ host: reference.host, repository: reference.repository },
      ...{ roundTripMs, bytes },
    });
    const asItIs = (signal: AbortSignal) =>
      this.client.blobBytes(reference, ztoc, {
        maxBytes: MAX_ZTOC_BYTES,
        signal,
      });
    if (compressed === undefined || this.#useless.has(compressedZtocs)) {
      return await this.#arrivals.fetch(
        inFlight(ztoc.size),
        () => asItIs(signal),
      );
    }
    return await this.#arrivals.fetch(
      inFlight(compressed.size),
      () => this.#either({ image, ztoc }, compressed, asItIs, signal),
    );
  }

  /**
   * The head of a ztoc, and how the ztoc is had later: for an image whose digest covers its companion.
   * @returns null where no part can be had by itself: then `fetch` gives the ztoc.
   * @throws the signal's reason
   */
  async head(
    { image, ztoc }: Wanted,
    signal: AbortSignal,
  ): Promise<ArrivedZtoc | null> {
    const { reference, roundTripMs, compressedZtocs } = image;
    const compressed = (await compressedZtocs).get(ztoc.digest);
    if (compressed?.head === undefined || ztoc.size > MAX_AHEAD_BYTES) {
      return null;
    }
    const { head: { size: bytes } } = compressed;
    const { host, repository } = reference;
    const parts = new ZtocInParts(this.client, reference, ztoc, {
      ...compressed,
      head: compressed.head,
    });
    try {
      return await this.#arrivals.fetch(
        { host, repository, roundTripMs, bytes },
        () => parts.arrived(signal),
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!isOfCompanion(error)) throw error;
      log.warn("a layer cannot be mounted ahead of its ztoc", {
        image: reference.toString(),
        ztoc: ztoc.digest,
        error: String(error),
      });
      return null;
    }
  }

  /** The compressed ztoc; or the ztoc, where that is of no use or slow. */
  async #either(
    { image, ztoc }: Wanted,
    compressed: CompressedZtoc,
    asItIs: (signal: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const watched = new Progress(compressed.size);
    const unpacked = unpackZtoc(
      this.#chunks(image, compressed, watched, either),
      ztoc,
      compressed.head?.size ?? null,
    ).catch((error) => {
      either.throwIfAborted();
      if (!isOfCompanion(error)) throw error;
      this.#useless.add(image.compressedZtocs);
      log.warn("companion of no use, ztocs are fetched as they are", {
        image: image.reference.toString(),
        companion: image.companion?.digest ?? null,
        ztoc: ztoc.digest,
        error: String(error),
      });
      return null;
    });
    unpacked.catch(() => {}); // awaited below
    try {
      const first = await Promise.race([unpacked, watched.isSlow]);
      if (first === "slow") {
        const whole = asItIs(either);
        whole.catch(() => {}); // awaited below
        const both = [unpacked.then((bytes) => bytes ?? whole), whole];
        return await Promise.any(both).catch(() => whole);
      }
      return first ?? await asItIs(signal);
    } finally {
      watched[Symbol.dispose]();
      stop.abort(new DOMException("the ztoc is here", "AbortError"));
    }
  }

  async *#chunks(
    { reference }: Wanted["image"],
    compressed: CompressedZtoc,
    watched: Progress,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    if (compressed.bytes !== null) {
      yield compressed.bytes;
      return;
    }
    const stream = await this.client.blob(reference, compressed, { signal });
    for await (const chunk of stream) {
      watched.advance(chunk.length);
      yield chunk;
    }
  }
}

/** Whether an error is the companion's own, so that the ztoc as it is may still be had. */
function isOfCompanion(error: unknown): boolean {
  return error instanceof SociError || error instanceof RegistryError;
}

/** Watches bytes arrive, and says when they would take too long. */
class Progress implements Disposable {
  /** Settles only if they do. */
  readonly isSlow: Promise<"slow">;
  readonly #timer: ReturnType<typeof setInterval>;
  #arrived = 0;

  constructor(bytes: number) {
    const { promise, resolve } = Promise.withResolvers<"slow">();
    this.isSlow = promise;
    let spentMs = 0;
    let before = 0;
    let slowLooks = 0;
    this.#timer = setInterval(() => {
      spentMs += LOOK_MS;
      // By what came of late: one that stops shortly before its end is slow too.
      const leftMs = LOOK_MS * (bytes - this.#arrived) /
        (this.#arrived - before);
      before = this.#arrived;
      const isSlow = !(spentMs + leftMs <= PATIENCE_MS);
      slowLooks = isSlow ? slowLooks + 1 : 0;
      if (slowLooks === SLOW_LOOKS) resolve("slow");
    }, LOOK_MS);
  }

  advance(bytes: number): void {
    this.#arrived += bytes;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
