/** What one trial of a fault came to. @module */
import { BOUND_MS } from "./stage.ts";
import type { ReadingReport } from "./reader.ts";

/** A fault that can be tried. */
export interface Fault {
  /** What happens, as in the table. */
  readonly name: string;
  /** The worst that containers may see. */
  readonly allowed: Seen;
  /** Tries it once. */
  readonly try: () => Promise<Outcome>;
}

/** What containers saw: from best to worst. */
export type Seen = "nothing" | "delay" | "errors";
const ORDER: readonly Seen[] = ["nothing", "delay", "errors"];

/** A delay shorter than this is no delay. */
const DELAY_MS = 250;
/** Timers wake late, and containers are told later. */
const SLACK_MS = 150;
/** A read of a file asks the kernel for several pieces, some of them twice (read-ahead, then alone). */
const WAITS_A_FILE = 4;

/** What one trial came to. */
export interface Outcome {
  readonly seen: Seen;
  /** In words. */
  readonly words: string;
  /** The longest a read took that succeeded, ms. */
  readonly longestMs: number;
  /** Files with a wrong digest. */
  readonly wrong: number;
  /** All that must not be. */
  readonly violations: readonly string[];
}

/** Judges what a reader saw. */
export function outcomeOf(
  report: ReadingReport,
  options: {
    /** Bound of a read's wait; the stage's when not given. */
    readonly boundMs?: number;
    /** Further things that are not as they should be. */
    readonly violations?: readonly string[];
  } = {},
): Outcome {
  const { boundMs = BOUND_MS } = options;
  const { errors, wrong, unread, longestMs } = report;
  const violations = [...options.violations ?? []];
  const waits = errors.map(([, ms]) => ms);
  const shortest = Math.min(...waits);
  const longest = Math.max(...waits);
  if (wrong.length > 0) violations.push(`wrong content: ${wrong.join(", ")}`);
  if (unread > 0) violations.push(`${unread} files were never readable again`);
  for (const [name] of errors) {
    if (name !== "EIO") violations.push(`a read failed with ${name}`);
  }
  if (shortest < boundMs - SLACK_MS) {
    violations.push(`EIO after ${shortest} ms, before the bound`);
  }
  if (longest > WAITS_A_FILE * boundMs) {
    violations.push(`EIO only after ${longest} ms`);
  }
  const seen = errors.length > 0
    ? "errors"
    : longestMs > DELAY_MS
    ? "delay"
    : "nothing";
  const range = (low: number, high: number) =>
    low === high ? seconds(low) : `${seconds(low)} to ${seconds(high)}`;
  const words = {
    nothing: "nothing",
    delay: "a delay",
    errors: `EIO after ${range(shortest, longest)} s (${errors.length}×)`,
  }[seen];
  return {
    seen,
    words: unread === 0 && errors.length > 0 ? `${words}, then healed` : words,
    longestMs: Math.max(longestMs, ...waits),
    wrong: wrong.length,
    violations,
  };
}

/** An outcome with what must not be, given what the fault may do at most. */
export function judged({ allowed }: Fault, outcome: Outcome): Outcome {
  if (ORDER.indexOf(outcome.seen) <= ORDER.indexOf(allowed)) return outcome;
  return {
    ...outcome,
    violations: [
      ...outcome.violations,
      `containers saw ${outcome.words}, allowed is ${allowed}`,
    ],
  };
}

const seconds = (ms: number) => (ms / 1000).toFixed(1);

/** Fault → times tried → outcome → longest stall → wrong bytes. */
export class FaultTable {
  readonly #rows = new Map<string, Outcome[]>();

  add(fault: Fault, outcome: Outcome): void {
    this.#rows.getOrInsertComputed(fault.name, () => []).push(outcome);
  }

  toString(): string {
    const rows = [
      ["fault", "tried", "containers saw", "longest stall", "wrong bytes"],
      ["---", "---:", "---", "---:", "---:"],
    ];
    for (const [name, outcomes] of this.#rows) {
      const worst = outcomes.toSorted((a, b) =>
        ORDER.indexOf(b.seen) - ORDER.indexOf(a.seen)
      )[0]!;
      const stall = Math.max(...outcomes.map(({ longestMs }) => longestMs));
      const wrong = outcomes.reduce((sum, { wrong }) => sum + wrong, 0);
      rows.push([
        ...[name, String(outcomes.length), worst.words],
        ...[`${(stall / 1000).toFixed(2)} s`, String(wrong)],
      ]);
    }
    const widths = rows[0]!.map((_, column) =>
      Math.max(...rows.map((row) => row[column]!.length))
    );
    return rows.map((row) =>
      `| ${
        row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")
      } |`
    ).join("\n");
  }
}
