import type { Digest } from "../../formats/oci/mod.ts";
import { brief, type Context, registryError } from "./context.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import { Transient } from "./retry.ts";

/** After so much, a failure is the first one again. */
export const PROGRESS_BYTES = 2 ** 20;
/**
 * Statuses by which places refuse a part of a blob they have. Some of them are of the blob itself
 * (403): asking for all of it then says so.
 */
const REFUSALS = new Set([400, 403, 405, 406, 412, 416, 501]);

/** Whether an error may mean that it is the range that was refused. */
export function refusesRanges(error: unknown): boolean {
  return error instanceof RegistryError && error.status !== undefined &&
    REFUSALS.has(error.status);
}

/** A place refused a part of a blob; whether it is not the blob that it refuses is to be seen. */
export function noteRefusal(
  { refusedRange }: Context,
  { root: { href } }: Endpoint,
  digest: Digest,
): void {
  refusedRange.add(`${href}${digest}`);
}

/** A place gave a part: what it refused before was no sign of what it can. */
export function noteRange(
  { refusedRange, withoutRanges }: Context,
  { root: { href } }: Endpoint,
  digest: Digest,
): void {
  refusedRange.delete(`${href}${digest}`);
  withoutRanges.delete(href);
}

/**
 * All of a blob was asked for: where that was refused too, it was not the range; where it comes, the
 * place gives no ranges.
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

/** The connection of a blob's body ended before all of it came. */
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
