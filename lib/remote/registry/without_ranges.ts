import type { Digest } from "../../formats/oci/mod.ts";
import { brief, type Context, registryError } from "./context.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import { Transient } from "./retry.ts";

/** After this many bytes, the count of retries starts again. */
export const PROGRESS_BYTES = 2 ** 20;
/** Statuses that are about the blob, the login or the moment, not about the range. */
const NO_REFUSALS = new Set([404, 408, 425, 429, 503, 504]);

/**
 * Whether an error may mean that the range was refused, not the blob. Places refuse with nearly any
 * status. Some (403) may be about the blob itself. Asking for the whole blob then tells.
 */
export function refusesRanges(error: unknown): error is RegistryError {
  return error instanceof RegistryError && error.kind !== "unauthorized" &&
    error.status !== undefined && !NO_REFUSALS.has(error.status);
}

/**
 * Notes that a place refused a range of a blob. Whether it refuses the blob itself is not known
 * yet.
 */
export function noteRefusal(
  { refusedRange }: Context,
  { root: { href } }: Endpoint,
  digest: Digest,
): void {
  refusedRange.add(`${href}${digest}`);
}

/** Notes that a place gave a range: it supports ranges, whatever it refused before. */
export function noteRange(
  { refusedRange, withoutRanges, withRanges }: Context,
  { root: { href } }: Endpoint,
  digest: Digest,
): void {
  refusedRange.delete(`${href}${digest}`);
  withoutRanges.delete(href);
  withRanges.add(href);
}

/**
 * Notes the answer to a request for a whole blob of which a range was refused. If that is refused
 * too, the range was not the reason. If it is given, the place gives no ranges.
 */
export function noteWhole(
  { refusedRange, withoutRanges }: Context,
  { root: { href } }: Endpoint,
  digest: Digest,
  outcome: "given" | "refused",
): void {
  const key = `${href}${digest}`;
  if (outcome === "given" && refusedRange.has(key)) withoutRanges.add(href);
  refusedRange.delete(key);
}

/** The error for a blob's body that ended early. */
export function endedEarly(
  endpoint: Endpoint,
  digest: Digest,
  left: number,
): Transient {
  return new Transient(
    registryError(
      endpoint,
      "unavailable",
      `blob ${brief(digest)} ended ${left} bytes early`,
    ),
  );
}
