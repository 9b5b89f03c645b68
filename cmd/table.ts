/** Tables and times as the existing tools print them. @module */

const MIN_WIDTH = 8;
const PADDING = 4;

/**
 * A table of text, its first row the head: columns as wide as their widest cell and four spaces, at
 * least eight.
 *
 * @example
 * ```ts
 * import { table } from "./table.ts";
 * import assert from "node:assert/strict";
 * assert.equal(table([["A", "LONGER"], ["1", "2"]]), "A       LONGER    \n1       2         ");
 * ```
 */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(
      MIN_WIDTH,
      ...rows.map((row) => (row[column] ?? "").length + PADDING),
    )
  );
  return rows.map((row) =>
    widths.map((width, column) => (row[column] ?? "").padEnd(width)).join("")
  ).join("\n");
}

/** How long ago: `1h2m3s ago`. */
export function ago(then: Date, nowMs: number = Date.now()): string {
  const seconds = Math.max(0, Math.floor((nowMs - then.getTime()) / 1000));
  const [hours, minutes] = [
    Math.floor(seconds / 3600),
    Math.floor(seconds / 60) % 60,
  ];
  const text = (hours > 0 ? `${hours}h` : "") +
    (seconds >= 60 ? `${minutes}m` : "") + `${seconds % 60}s`;
  return `${text} ago`;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Reads a duration such as `30s` or `1m30s` as milliseconds; null when it is none. */
export function parseDuration(text: string): number | null {
  if (text === "0") return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) {
    return null;
  }
  return parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * UNIT_MS[unit!]!,
    0,
  );
}
