import { WeightGate } from "./gate.ts";

/**
 * What layers are opened from in a millisecond, several times over on two cores: 50 MB/s. More on its
 * way than comes in a round trip at that rate would come all at once at the end, with all that is to
 * be done with it still to do.
 */
const BYTES_PER_MS = 50_000;
const MIN_BYTES = 512 * 1024;
/** Of all that is on its way from a registry; whole numbers, whose sums come out even. */
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
  readonly #gates = new Map<string, WeightGate>();

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
    const gate = this.#gates.getOrInsertComputed(
      host,
      () => new WeightGate(WEIGHT),
    );
    return gate.run(Math.ceil(bytes / atOnce * WEIGHT), run);
  }
}
