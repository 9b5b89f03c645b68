/**
 * A test that fails in the whole run is tried once more, with its file alone. Both are told: a test that passes
 * only then is a defect of the test or of what it tests, but it says nothing of the change at hand.
 * @module
 */
import { type Counts, originOf, type TimedTest } from "./outcome.ts";

/** More failures than this have one cause, and it is not chance. */
const MOST_FAILURES = 6;
/** The lines of a failure that are told again at the end. */
const FAILURE_LINES = 14;

/** What one `deno test` did. */
export interface Outcome {
  readonly counts: Counts;
  readonly tests: readonly TimedTest[];
  /** Why tests were skipped, by name. */
  readonly reasons: ReadonlyMap<string, string>;
  /** The paths it was given. */
  readonly paths: readonly string[];
  /** More failed than tests: it hung, ended before it had told its counts, or a file could not be loaded. */
  readonly died: boolean;
  readonly output: string;
}

/** A test that failed, with the file to run it from; a null file is not known. */
export interface Failure {
  readonly file: string | null;
  readonly name: string;
  readonly text: string;
}

/** The failures of a run. One that died has one more, without a test's name. */
export function failuresOf(outcome: Outcome): readonly Failure[] {
  const [only = null, ...more] = outcome.paths;
  const path = more.length === 0 ? only : null;
  // A step's is told otherwise than a test's.
  const fileOf = (name: string) =>
    originOf(name, outcome.output)?.replace(/^\.\//, "");
  const failures = outcome.tests.flatMap(({ name, failure }) =>
    failure === null
      ? []
      : [{ file: fileOf(name) ?? path, name, text: failure }]
  );
  if (!outcome.died) return failures;
  return [...failures, {
    file: path,
    name: `the runner of ${outcome.paths.join(" ")}`,
    text: "did not come to its end",
  }];
}

/** The files to be run once more; none where there are too many failures for chance. */
export function filesToTryAgain(outcomes: readonly Outcome[]): string[] {
  const failures = outcomes.flatMap(failuresOf);
  if (failures.length > MOST_FAILURES) return [];
  return [...new Set(failures.flatMap(({ file }) => file ?? []))];
}

/**
 * Counts a run anew after some of its files ran a second time.
 * @param again what the second run of each file did, by file.
 * @returns its counts, and what failed at first only.
 */
export function countAgain(
  outcome: Outcome,
  again: ReadonlyMap<string, Outcome>,
): { counts: Counts; passedThen: readonly Failure[] } {
  const passedThen = failuresOf(outcome).filter(({ file, name }) => {
    const second = file === null ? undefined : again.get(file);
    if (second === undefined || second.died) return false;
    const test = second.tests.find((one) => one.name === name);
    // A runner that died has no test: all of its file has to pass.
    return test === undefined
      ? outcome.died && second.counts.failed === 0 && second.counts.passed > 0
      : test.failure === null;
  });
  // The counts know nothing of steps: one that fails has its test fail.
  const { length } = passedThen.filter(({ name }) =>
    !outcome.tests.some((test) => name.startsWith(`${test.name} > `))
  );
  const counts = {
    ...outcome.counts,
    passed: outcome.counts.passed + length,
    failed: outcome.counts.failed - length,
  };
  return { counts, passedThen };
}

/** Tells failures, each with the first lines of its error. */
export function describeFailures(failures: readonly Failure[]): string {
  return failures.map(({ file, name, text }) =>
    [
      `  ${name}${file === null ? "" : ` (${file})`}`,
      ...text.trim().split("\n").slice(0, FAILURE_LINES)
        .map((line) => `    ${line}`),
    ].join("\n")
  ).join("\n");
}
