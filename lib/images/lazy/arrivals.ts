import { WeightedSemaphore } from "./weighted_semaphore.ts";

/**
 * How fast two cores open layers, with room to spare: 50 MB of ztocs a second. Fetching more at a time than
 * that rate needs for one round trip gains nothing: all ztocs would come together and late, and the opening
 * of the first would wait for the bytes of the last.
 */
const BYTES_PER_MS = 50_000;
const MIN_BYTES = 512 * 1024;
/** Of all that is on its way from one registry. A whole number, so that sums are exact. */
const WEIGHT = 1024;

/**
 * Ztocs on their way: fetched in the order they are asked for, so many at a time as the way to the
 * registry needs. A registry that gives nothing holds up no other.
 *
 * @example
 * ```ts
 * import { Arrivals } from "./arrivals.ts";
 * const arrivals = new Arrivals();
 * const bytes = await arrivals.fetch(
 *   { host: "registry.example", roundTripMs: 5, bytes: 3 },
 *   () => Promise.resolve(Uint8Array.of(1, 2, 3)),
 * );
 * if (bytes.length !== 3) throw new Error("they are given as they came");
 * ```
 */
export class Arrivals {
  readonly #semaphores = new Map<string, WeightedSemaphore>();

  /** Runs a fetch when its turn has come; what it gives or throws. */
  fetch<T>(
    what: {
      readonly host: string;
      /** How long the registry takes to give something small, ms. */
      readonly roundTripMs: number;
      /** How much will come. */
      readonly bytes: number;
    },
    run: () => Promise<T>,
  ): Promise<T> {
    const { host, roundTripMs, bytes } = what;
    const atOnce = Math.max(MIN_BYTES, roundTripMs * BYTES_PER_MS);
    const semaphore = this.#semaphores.getOrInsertComputed(
      host,
      () => new WeightedSemaphore(WEIGHT),
    );
    return semaphore.run(Math.ceil(bytes / atOnce * WEIGHT), run);
  }
}
