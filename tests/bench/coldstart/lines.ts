/** The lines between the registry and the node that starts an image. @module */

/** A line, and its name on the command line and in tables. */
export interface Line {
  readonly name: string;
  /** null: nothing in front of the registry. */
  readonly limits:
    | { readonly bitsPerSecond: number; readonly delayMs: number }
    | null;
}

/** By name. A delay is half a round trip. */
export const LINES: readonly Line[] = [
  { name: "loopback", limits: null },
  { name: "1g", limits: { bitsPerSecond: 1e9, delayMs: 0.5 } },
  { name: "100m", limits: { bitsPerSecond: 100e6, delayMs: 2.5 } },
  { name: "25m", limits: { bitsPerSecond: 25e6, delayMs: 10 } },
];

/** How a line is written for people. */
export function describeLine({ name, limits }: Line): string {
  if (limits === null) return name;
  const { bitsPerSecond, delayMs } = limits;
  const rate = bitsPerSecond >= 1e9
    ? `${bitsPerSecond / 1e9} Gbit/s`
    : `${bitsPerSecond / 1e6} Mbit/s`;
  return `${rate} + ${2 * delayMs} ms`;
}
