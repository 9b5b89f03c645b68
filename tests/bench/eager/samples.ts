/** What a run of the eager benchmark found: samples of a few measures, and what each goal says of them. @module */
import { median } from "../support.ts";

/** What is measured, in the order of the report. */
export const MEASURES = {
  loopback: { title: "No index, loopback: pull to first output", unit: "s" },
  "1g": { title: "No index, 1 Gbit/s + 1 ms", unit: "s" },
  "100m": { title: "No index, 100 Mbit/s + 5 ms", unit: "s" },
  small: { title: "128 small layers, pull", unit: "s" },
  early: { title: "Written to disk until the first output", unit: "MB" },
  written: { title: "Written to disk once all is synced", unit: "MB" },
  removal: { title: "Removal, until the space is free", unit: "s" },
  large: { title: "One large layer with an index, pull", unit: "s" },
  second: { title: "A second node, lazily: pull to first output", unit: "s" },
  secondCpu: { title: "A second node: its daemon's CPU", unit: "s" },
  secondBytes: { title: "A second node: bytes that came", unit: "MB" },
  inside: { title: "In a container, caches dropped before", unit: "s" },
} as const;

/** A measure's name. */
export type Measure = keyof typeof MEASURES;

/** One figure that was taken. */
export interface Sample {
  readonly measure: Measure;
  /** The image, or what was done in it. */
  readonly subject: string;
  readonly way: string;
  readonly value: number;
}

/** One run. */
export interface Outcome {
  readonly at: string;
  readonly machine: string;
  readonly rounds: number;
  /** Titles of the ways, by name. */
  readonly ways: Readonly<Record<string, string>>;
  readonly samples: readonly Sample[];
}

/** Names of the ways that goals speak of. */
export const WAY = {
  overlay: "overlayfs",
  existing: "existing",
  ours: "soci-deno",
  kept: "soci-deno-kept",
  oneCore: "one-core",
  /** The daemon; the registry has another. */
  oneCoreAlone: "one-core-alone",
  limit: "limit",
  built: "built",
  passing: "passing",
} as const;

/** The median of what a way took; null where it was not measured. */
export function middle(
  { samples }: Outcome,
  measure: Measure,
  subject: string,
  way: string,
): number | null {
  const values = samples
    .filter((it) =>
      it.measure === measure && it.subject === subject && it.way === way
    )
    .map(({ value }) => value);
  return values.length === 0 ? null : median(values);
}

/** A goal, and what became of it. */
export interface Goal {
  readonly measure: Measure;
  readonly subject: string;
  /** In words. */
  readonly goal: string;
  /** Nothing where it could not be told. */
  readonly found: string;
  readonly holds: boolean | null;
}

interface Rule {
  readonly measure: Measure;
  readonly way: string;
  readonly goal: string;
  /** What counts, of what both took. @param other of `against`, or 1. */
  readonly figure: (value: number, other: number) => number;
  readonly against?: string;
  readonly isGood: (figure: number) => boolean;
  readonly unit: string;
}

const times = (value: number, other: number) => value / other;
const alone = (value: number) => value;

const RULES: readonly Rule[] = [
  {
    ...{ measure: "loopback", way: WAY.ours, against: WAY.overlay },
    ...{ goal: "≤ 0.4 × overlayfs", figure: times, unit: " ×" },
    isGood: (it) => it <= 0.4,
  },
  ...(["1g", "100m"] as const).map((measure): Rule => ({
    ...{ measure, way: WAY.ours, against: WAY.limit },
    goal: measure === "1g"
      ? "≤ max(transfer, longest layer on one core, all on all cores) × 1.15 + 0.3 s"
      : "≤ transfer × 1.03 + 0.3 s",
    ...{ figure: times, unit: " × that" },
    isGood: (it) => it <= 1,
  })),
  {
    ...{ measure: "small", way: WAY.ours, goal: "≤ 3 s", figure: alone },
    ...{ unit: " s", isGood: (it) => it <= 3 },
  },
  // The tar alone is two thirds of what overlayfs writes in all: it writes the blobs, too.
  ...(["early", "written"] as const).map((measure): Rule => ({
    ...{ measure, way: WAY.ours, against: WAY.overlay },
    goal: "≤ 0.6 × overlayfs, blobs discarded",
    ...{ figure: times, unit: " ×", isGood: (it) => it <= 0.6 },
  })),
  {
    ...{ measure: "written", way: WAY.kept, against: WAY.overlay },
    goal: "≤ 1.0 × overlayfs, blobs kept",
    ...{ figure: times, unit: " ×", isGood: (it) => it <= 1 },
  },
  {
    ...{ measure: "removal", way: WAY.ours, goal: "≤ 0.2 s", figure: alone },
    ...{ unit: " s", isGood: (it) => it <= 0.2 },
  },
  {
    ...{ measure: "large", way: WAY.oneCore, against: WAY.ours },
    goal: "two cores ≥ 1.7 × one core",
    ...{ figure: times, unit: " ×", isGood: (it) => it >= 1.7 },
  },
  ...(["second", "secondCpu", "secondBytes"] as const).map((measure) => ({
    ...{ measure, way: WAY.passing, against: WAY.built },
    goal: "as lazy as by `build-index`: ≤ 1.05 ×",
    ...{ figure: times, unit: " ×", isGood: (it: number) => it <= 1.05 },
  })),
  {
    ...{ measure: "inside", way: WAY.ours, against: WAY.overlay },
    ...{ goal: "≤ 1.05 × overlayfs", figure: times, unit: " ×" },
    isGood: (it) => it <= 1.05,
  },
];

/** What was measured of each measure, in order. */
export function subjectsOf({ samples }: Outcome, measure: Measure): string[] {
  return [
    ...new Set(
      samples.filter((it) => it.measure === measure)
        .map(({ subject }) => subject),
    ),
  ];
}

/** What each goal says of a run. */
export function goalsOf(outcome: Outcome): Goal[] {
  return RULES.flatMap((rule) =>
    subjectsOf(outcome, rule.measure).map((subject): Goal => {
      const { measure, goal, against, unit } = rule;
      const value = middle(outcome, measure, subject, rule.way);
      const other = against === undefined
        ? 1
        : middle(outcome, measure, subject, against);
      if (value === null || other === null) {
        return { measure, subject, goal, found: "", holds: null };
      }
      const figure = rule.figure(value, other);
      const found = `${figure.toFixed(2)}${unit}`;
      return { measure, subject, goal, found, holds: rule.isGood(figure) };
    })
  );
}
