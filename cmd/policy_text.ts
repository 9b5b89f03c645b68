/** How an image is taken, as `status` and `inspect` tell it. @module */
import type { Decided } from "../lib/images/policy/mod.ts";

const SOURCES: Readonly<Record<Decided["from"], string>> = {
  "pod annotation": "by its pod's annotation",
  "snapshot label": "by its snapshot's label",
  "image label": "by its own label",
  pattern: "by a pattern",
  size: "by its size",
  default: "by default",
};

/** One line: what is done, what said so, and by which costs. Times that are not known are null, as JSON has them. */
export function policyText(
  { policy, from, taken, costs }:
    & Pick<
      Decided,
      "policy" | "from" | "taken"
    >
    & {
      readonly costs: {
        readonly lazyMs: number | null;
        readonly wholeMs: number | null;
      } | null;
    },
): string {
  const why = costs === null
    ? ""
    : `, as a start takes ${seconds(costs.wholeMs)} whole, ${
      seconds(costs.lazyMs)
    } lazily`;
  return `${policy}, ${SOURCES[from]}: ${taken}${why}`;
}

function seconds(ms: number | null): string {
  return ms === null || !Number.isFinite(ms)
    ? "any time"
    : `${(ms / 1000).toFixed(1)} s`;
}
