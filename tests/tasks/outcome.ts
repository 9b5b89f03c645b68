/** What came of a run of `deno test`, read from what it printed and from its JUnit report. @module */

/** One test, without its steps. */
export interface TimedTest {
  readonly file: string;
  readonly name: string;
  readonly seconds: number;
  readonly skipped: boolean;
  /** What it failed with, its steps' errors included; null when it did not fail. */
  readonly failure: string | null;
}

/** How many tests there were of each kind. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Without colours. */
function plain(output: string): string {
  // deno-lint-ignore no-control-regex
  return output.replace(/\x1b\[[0-9;]*m/g, "");
}

/**
 * Reads `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)`, the last such line.
 * @returns null when there is none: the runner died before its end.
 */
export function readCounts(output: string): Counts | null {
  const line = plain(output).split("\n").findLast((text) =>
    /^(ok|FAILED) \| \d+ passed/.test(text)
  );
  if (line === undefined) return null;
  const count = (word: string) =>
    Number(line.match(new RegExp(`(\\d+) ${word}`))?.[1] ?? 0);
  return {
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("ignored"),
  };
}

/** Reads the tests of a JUnit report as Deno writes it. What was filtered out is left out. */
export function readReport(xml: string): readonly TimedTest[] {
  const found: TimedTest[] = [];
  const cases = /<testcase ([^>]*)>([\s\S]*?)<\/testcase>/g;
  for (const [, attributes = "", body = ""] of xml.matchAll(cases)) {
    const value = (name: string) =>
      attributes.match(new RegExp(`(?:^| )${name}="([^"]*)"`))?.[1];
    const time = value("time");
    if (time === undefined) continue; // filtered out: it has no time
    found.push({
      file: unescaped(value("classname") ?? ""),
      name: unescaped(value("name") ?? ""),
      seconds: Number(time),
      skipped: body.includes("<skipped"),
      failure: failureIn(body),
    });
  }
  const names = new Set(found.map((one) => `${one.file}\n${one.name}`));
  const isStepOfOne = found.map(({ file, name }) => isStep(file, name, names));
  const steps = found.filter((_, i) => isStepOfOne[i]);
  return found.filter((_, i) => !isStepOfOne[i]).map((test) =>
    test.failure === null ? test : withStepsErrors(test, steps)
  );
}

function failureIn(body: string): string | null {
  const [, text] = body.match(/<failure[^>]*>([\s\S]*?)<\/failure>/) ?? [];
  return text === undefined ? null : unescaped(text);
}

/** A test whose step failed says no more than that; the step says why. */
function withStepsErrors(
  test: TimedTest,
  steps: readonly TimedTest[],
): TimedTest {
  const of = steps.filter(({ file, name, failure }) =>
    failure !== null && file === test.file &&
    name.startsWith(`${test.name} > `)
  ).map(({ name, failure }) =>
    `${name.slice(test.name.length + 3)}: ${failure}`
  );
  return of.length === 0 ? test : { ...test, failure: of.join("\n") };
}

/** A step is listed as a test of its own, `<test> > <step>`. */
function isStep(file: string, name: string, names: Set<string>): boolean {
  for (
    let at = name.indexOf(" > ");
    at >= 0;
    at = name.indexOf(" > ", at + 1)
  ) {
    if (names.has(`${file}\n${name.slice(0, at)}`)) return true;
  }
  return false;
}

const ENTITIES: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  amp: "&",
  quot: '"',
  apos: "'",
};

function unescaped(text: string): string {
  return text.replace(
    /&(\w+);/g,
    (whole, name: string) => ENTITIES[name] ?? whole,
  );
}

/** Where a test is, in brackets; nothing where a helper made it: then no file is known. */
export function place({ file }: TimedTest): string {
  return file.startsWith("./tests/support/") ? "" : ` (${file})`;
}

/** The tests that took longest, one a line, the slowest first. */
export function slowest(tests: readonly TimedTest[], count: number): string {
  return tests.toSorted((a, b) => b.seconds - a.seconds)
    .slice(0, count)
    .map((test) =>
      `${test.seconds.toFixed(1).padStart(6)} s  ${test.name}${place(test)}`
    )
    .join("\n");
}

/** Why tests are skipped, by name: what {@linkcode testUnless} printed. */
export function readReasons(output: string): ReadonlyMap<string, string> {
  const lines = output.matchAll(/^skipped: (.*) \(because (.*)\)$/gm);
  return new Map([...lines].map(([, name = "", why = ""]) => [name, why]));
}

/**
 * The file that a test ran from, as the output tells it: the report names the place of the call, which may be
 * a helper's. Null where the output does not tell.
 */
export function originOf(test: string, output: string): string | null {
  let file: string | null = null;
  for (const line of plain(output).split("\n")) {
    const [, running] = line.match(/^running \d+ tests? from (\S+)$/) ?? [];
    if (running !== undefined) file = running;
    if (line.startsWith(`${test} ...`)) return file;
  }
  return null;
}
