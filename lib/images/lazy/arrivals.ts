import { KeyedSemaphores } from "./keyed_semaphores.ts";

/**
 * How fast two cores open layers, with room to spare: 50 MB of ztocs a second. Fetching more at a time than
 * that rate needs for one round trip gains nothing: all ztocs would come together and late, and the opening
 * of the first would wait for the bytes of the last.
 */
const BYTES_PER_MS = 50_000;
const MIN_BYTES = 512 * 1024;
/** A registry that takes longer is not asked for more: it says itself how long it takes, ms. */
const MAX_ROUND_TRIP_MS = 500;
/** Of all that is on its way from one registry. A whole number, so that sums are exact. */
const WEIGHT = 1024;

/**
 * Ztocs on their way: fetched in the order they are asked for, so many at a time as the way to the
 * registry needs. A repository that gives nothing holds up no other, of the same registry neither.
 *
 * @example
 * ```ts
 * import { Arrivals } from "./arrivals.ts";
 * const arrivals = new Arrivals();
 * const bytes = await arrivals.fetch(
 *   { host: "registry.example", repository: "a/b", roundTripMs: 5, bytes: 3 },
 *   () => Promise.resolve(Uint8Array.of(1, 2, 3)),
 * );
 * if (bytes.length !== 3) throw new Error("they are given as they came");
 * ```
 */
export class Arrivals {
  readonly #semaphores = new KeyedSemaphores(WEIGHT);

  /** Runs a fetch when its turn has come; what it gives or throws. */
  fetch<T>(
    what: {
      /** The registry, and whose ztoc it is there. */
      readonly host: string;
      readonly repository: string;
      /** How long the registry takes to give something small, ms. */
      readonly roundTripMs: number;
      /** How much will come. */
      readonly bytes: number;
    },
    run: () => Promise<T>,
  ): Promise<T> {
    const { host, repository, bytes } = what;
    const roundTripMs = Math.min(MAX_ROUND_TRIP_MS, what.roundTripMs);
    const atOnce = Math.max(MIN_BYTES, roundTripMs * BYTES_PER_MS);
    const weight = Math.ceil(bytes / atOnce * WEIGHT);
    return this.#semaphores.run(`${host}/${repository}`, weight, run);
  }
}
