import { KeyedSemaphores } from "./keyed_semaphores.ts";

/**
 * How fast two cores open layers, generously: 50 MB of ztocs per second. More in flight than this
 * rate uses up in one round trip gains nothing. All ztocs would then arrive together and late, and
 * opening the first would wait for the bytes of the last.
 */
const BYTES_PER_MS = 50_000;
const MIN_BYTES = 512 * 1024;
/**
 * A longer round trip does not allow more in flight, ms. The registry determines the measured time,
 * so it must be bounded.
 */
const MAX_ROUND_TRIP_MS = 500;
/** The most weight in flight from one repository. An integer, so that sums are exact. */
const WEIGHT = 1024;

/**
 * Bounds the ztocs in flight. They are fetched in the order of the requests, as many at once as the
 * round trip to the registry needs. A repository that hangs delays no other, not even one of the
 * same registry.
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

  /** Runs a fetch when its turn has come. Returns or throws what it does. */
  fetch<T>(
    what: {
      /** The registry, and the repository in it. */
      readonly host: string;
      readonly repository: string;
      /** How long the registry takes to answer a small request, ms. */
      readonly roundTripMs: number;
      /** The ztoc's size, bytes. */
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
