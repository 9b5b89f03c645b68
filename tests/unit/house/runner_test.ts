import assert from "node:assert/strict";
import {
  originOf,
  readCounts,
  readReasons,
  readReport,
  slowest,
} from "../../tasks/outcome.ts";
import {
  countAgain,
  describeFailures,
  failuresOf,
  filesToTryAgain,
  type Outcome,
} from "../../tasks/second_try.ts";
import { deal, select, STOREYS } from "../../tasks/storeys.ts";

function chosen(...args: string[]) {
  return select(args).map(({ storey, paths, flags }) => [
    storey.name,
    [...paths, ...flags],
  ]);
}

Deno.test("without a path all storeys run, unit tests first and in parallel", () => {
  const [unit, calm, rest] = select([]);
  assert.deepEqual(unit?.paths, ["lib", "tests/unit"]);
  assert.ok(unit?.storey.parallel);
  assert.ok(calm?.paths.includes("tests/e2e/writers_test.ts"));
  assert.ok(calm?.storey.parallel);
  assert.ok(rest?.paths.includes("tests/e2e/faults_test.ts"));
  assert.ok(!rest?.storey.parallel);
});

Deno.test("each test file below the storeys' folders runs in one of them, once", () => {
  const asked = select([]).flatMap(({ paths }) => paths);
  const run = deal(asked.filter((path) => path !== "lib"), 1).flat();
  const all = deal(["tests/unit", "tests/integration", "tests/e2e"], 1).flat();
  assert.deepEqual([...run].sort(), [...all].sort());
});

Deno.test("a path runs in its storey alone, a folder above storeys means those below it", () => {
  const [unit, calm, rest] = STOREYS.map(({ name }) => name);
  assert.deepEqual(chosen("./tests/unit/formats/"), [
    [unit, ["tests/unit/formats"]],
  ]);
  assert.deepEqual(chosen("tests/e2e/faults_test.ts", "lib/formats"), [
    [unit, ["lib/formats"]],
    [rest, ["tests/e2e/faults_test.ts"]],
  ]);
  assert.deepEqual(chosen("tests/e2e/writers_test.ts"), [
    [calm, ["tests/e2e/writers_test.ts"]],
  ]);
  assert.deepEqual(chosen("tests").map(([name]) => name), [unit, calm, rest]);
});

Deno.test("what follows the paths is for deno test, in every storey", () => {
  assert.deepEqual(chosen("tests/e2e/faults_test.ts", "--filter", "lazy"), [
    ["integration and end to end", [
      "tests/e2e/faults_test.ts",
      "--filter",
      "lazy",
    ]],
  ]);
  assert.deepEqual(
    select(["--filter", "a"]).map(({ flags }) => flags),
    STOREYS.map(() => ["--filter", "a"]),
  );
});

Deno.test("what stands behind -- is for deno test too, and the dashes are not", () => {
  assert.deepEqual(
    chosen("tests/e2e/faults_test.ts", "--", "--filter", "lazy"),
    [
      ["integration and end to end", [
        "tests/e2e/faults_test.ts",
        "--filter",
        "lazy",
      ]],
    ],
  );
});

Deno.test("files are dealt out to as many processes as there are, each file once", () => {
  const files = (folder: string) =>
    ["a", "b", "c"].map((n) => `${folder}/${n}_test.ts`);
  assert.deepEqual(deal(["lib", "tests/unit"], 2, files), [
    ["lib", "tests/unit/b_test.ts"],
    ["tests/unit/a_test.ts", "tests/unit/c_test.ts"],
  ]);
  assert.deepEqual(deal(["tests/unit/x_test.ts"], 4, files), [
    ["tests/unit/x_test.ts"],
  ]);
  assert.deepEqual(deal(["tests/unit/empty"], 2, () => []), [
    ["tests/unit/empty"],
  ]);
  const [all] = deal(["tests/unit/house"], 1);
  assert.ok(all?.includes("tests/unit/house/runner_test.ts"));
});

Deno.test("a path that holds no tests is refused: nothing would run", () => {
  assert.throws(() => select(["docs"]), /docs holds no tests/);
  assert.throws(() => select(["tests/units"]), RangeError);
});

Deno.test("storeys that hang are ended within the hour", () => {
  const all = STOREYS.reduce((sum, { limitMs }) => sum + limitMs, 0);
  assert.ok(all < 60 * 60_000);
});

Deno.test("counts are read from the last line that tells them, in colours or not", () => {
  const line =
    "\x1b[31mFAILED\x1b[0m | 12 passed (3 steps) | 2 failed | 1 ignored (1 step) \x1b[38;5;245m(2s)\x1b[0m";
  assert.deepEqual(readCounts(`ok | 1 passed | 0 failed (1s)\n${line}\n`), {
    passed: 12,
    failed: 2,
    skipped: 1,
  });
});

Deno.test("a runner that died has told no counts", () => {
  assert.equal(
    readCounts("running 3 tests from ./a_test.ts\nfirst ... "),
    null,
  );
  assert.equal(readCounts("a test prints | 12 passed"), null);
});

const REPORT = `<testsuites name="deno test" tests="5">
  <testsuite name="./a_test.ts" tests="5">
    <testcase name="a &lt;b&gt; &amp; &apos;c&apos;" classname="./a_test.ts" time="2.500" line="1" col="6">
    </testcase>
    <testcase name="not here" classname="./a_test.ts" time="0.000" line="2" col="6">
      <skipped/>
    </testcase>
    <testcase name="one &gt; two" classname="./a_test.ts" time="30.000" line="3" col="6">
      <failure message="&quot;x&quot; &gt; y">Error: time="1.0"</failure>
    </testcase>
    <testcase name="filtered" classname="./a_test.ts" line="4" col="6">
      <skipped/>
    </testcase>
    <testcase name="a &lt;b&gt; &amp; &apos;c&apos; &gt; a step" classname="./a_test.ts" time="2.000" line="1" col="57">
    </testcase>
  </testsuite>
</testsuites>`;

Deno.test("the report gives each test its time; steps and what was filtered out are left out", () => {
  assert.deepEqual(
    readReport(REPORT).map(({ name, seconds, skipped }) => [
      name,
      seconds,
      skipped,
    ]),
    [["a <b> & 'c'", 2.5, false], ["not here", 0, true], [
      "one > two",
      30,
      false,
    ]],
  );
  assert.deepEqual(readReport(""), []);
});

Deno.test("the slowest tests come first, no more than asked for", () => {
  assert.equal(
    slowest(readReport(REPORT), 2),
    "  30.0 s  one > two (./a_test.ts)\n   2.5 s  a <b> & 'c' (./a_test.ts)",
  );
});

Deno.test("a test that a helper made is listed without the helper's file", () => {
  const test = { name: "a", seconds: 1, skipped: false, failure: null };
  const file = "./tests/support/test_unless.ts";
  assert.equal(slowest([{ ...test, file }], 1), "   1.0 s  a");
});

Deno.test("reasons are read by the test's name", () => {
  const output =
    "skipped: a (b) test (because no EROFS: mount(2): EINVAL (22))\nok\n";
  assert.deepEqual([...readReasons(output)], [
    ["a (b) test", "no EROFS: mount(2): EINVAL (22)"],
  ]);
});

Deno.test("a failed test tells its error, or its steps' errors", () => {
  assert.deepEqual(readReport(REPORT).map(({ failure }) => failure), [
    null,
    null,
    'Error: time="1.0"',
  ]);
  const [test] = readReport(`
    <testcase name="a" classname="./a_test.ts" time="2.500">
      <failure message="1 test step failed">1 test step failed.</failure>
    </testcase>
    <testcase name="a &gt; b" classname="./a_test.ts" time="2.500">
      <failure message="x">Error: x</failure>
    </testcase>`);
  assert.equal(test?.failure, "b: Error: x");
});

Deno.test("the file of a test is read from the output, also where a helper made the test", () => {
  const output =
    "running 1 test from ./a_test.ts\nfrom a ... \x1b[31mFAILED\x1b[0m (1ms)\nrunning 1 test from ./b_test.ts\nfrom b ... ok\n";
  assert.equal(originOf("from a", output), "./a_test.ts");
  assert.equal(originOf("from b", output), "./b_test.ts");
  assert.equal(originOf("other", output), null);
});

/** A run of two tests of two files, of which those named failed. */
function ran(failed: readonly string[], more: Partial<Outcome> = {}): Outcome {
  const tests = ["a", "b"].map((name) => ({
    file: "./helper.ts",
    name,
    seconds: 1,
    skipped: false,
    failure: failed.includes(name) ? `Error: ${name}` : null,
  }));
  return {
    counts: { passed: 2 - failed.length, failed: failed.length, skipped: 0 },
    tests,
    reasons: new Map(),
    paths: ["tests/a_test.ts", "tests/b_test.ts"],
    died: false,
    output: ["a", "b"].map((name) =>
      `running 1 test from ./tests/${name}_test.ts\n${name} ... done`
    ).join("\n"),
    ...more,
  };
}

Deno.test("a test that fails and passes alone counts as passed, and is told; one that fails twice has failed", () => {
  const first = ran(["a", "b"]);
  assert.deepEqual(filesToTryAgain([first, ran([])]), [
    "tests/a_test.ts",
    "tests/b_test.ts",
  ]);
  const again = new Map([
    ["tests/a_test.ts", ran([])],
    ["tests/b_test.ts", ran(["b"])],
  ]);
  const { counts, passedThen } = countAgain(first, again);
  assert.deepEqual(counts, { passed: 1, failed: 1, skipped: 0 });
  assert.equal(
    describeFailures(passedThen),
    "  a (tests/a_test.ts)\n    Error: a",
  );
  assert.deepEqual(countAgain(first, new Map()).counts, first.counts);
});

Deno.test("a step that fails and passes alone is one failure, with its test", () => {
  const tests = ran(["a", "b"]).tests;
  const step = { ...tests[0]!, name: "a > step" };
  const first = ran(["a", "b"], { tests: [...tests, step] });
  const again = new Map([
    ["tests/a_test.ts", ran([])],
    ["tests/b_test.ts", ran(["b"])],
  ]);
  const { counts } = countAgain(first, again);
  assert.deepEqual(counts, { passed: 1, failed: 1, skipped: 0 });
});

Deno.test("many failures are no chance: no file gets a second try", () => {
  const all = Array.from({ length: 4 }, () => ran(["a", "b"]));
  assert.deepEqual(filesToTryAgain(all), []);
});

Deno.test("a runner that died of one file is tried again; it passed if all of the file did", () => {
  const died = ran([], {
    counts: { passed: 0, failed: 1, skipped: 0 },
    tests: [],
    paths: ["tests/a_test.ts"],
    died: true,
  });
  assert.deepEqual(filesToTryAgain([died]), ["tests/a_test.ts"]);
  const again = (second: Outcome) =>
    countAgain(died, new Map([["tests/a_test.ts", second]])).counts;
  assert.deepEqual(again(ran([])), { passed: 1, failed: 0, skipped: 0 });
  assert.deepEqual(again(ran(["a"])), died.counts);
  assert.deepEqual(again(ran([], { died: true })), died.counts);
  assert.equal(failuresOf({ ...died, paths: ["a", "b"] })[0]?.file, null);
});
