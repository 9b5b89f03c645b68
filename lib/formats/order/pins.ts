import { type Digest, isDigest } from "../oci/mod.ts";
import { DEFAULT_WORKLOAD, isWorkload } from "./media_types.ts";

/** A load order that a SOCI index v2 names, so that the image's digest covers it. */
export interface OrderPin {
  /** Which workload it is for. */
  readonly workload: string;
  /** Of its manifest. */
  readonly digest: Digest;
}

/** The most that one index pins. */
const MAX_PINS = 16;

/** The value of the annotation: `workload=digest`, separated by spaces, in the order given. */
export function encodePins(pins: readonly OrderPin[]): string {
  return pins.slice(0, MAX_PINS)
    .map(({ workload, digest }) => `${workload}=${digest}`).join(" ");
}

/** Reads the annotation. What is no pin is passed over, and so is all behind the sixteenth. */
export function decodePins(value: string | undefined): OrderPin[] {
  const pins: OrderPin[] = [];
  // A pin takes at most 136 bytes: what is longer holds something else.
  for (const item of (value ?? "").slice(0, MAX_PINS * 137).split(" ")) {
    const at = item.indexOf("=");
    const [workload, digest] = at < 0
      ? [DEFAULT_WORKLOAD, item]
      : [item.slice(0, at), item.slice(at + 1)];
    if (!isWorkload(workload) || !isDigest(digest)) continue;
    pins.push({ workload, digest });
  }
  return pins.slice(0, MAX_PINS);
}
