/**
 * `deno task test`: installs the real parts the tests talk to (containerd, runc, a registry, image
 * tools), then runs the unit tests side by side in processes of their own, then those of the others that
 * do not disturb each other, then the rest one by one.
 * Closes with the slowest tests, the reason of each skip, what failed and why, and one line: `N passed, N
 * failed, N skipped`. In a whole run the files of tests that failed run a second time, alone; a test that passes
 * then counts as passed and is told as one that did not at first.
 *
 * Arguments narrow the run, paths first, then flags for `deno test`:
 * `deno task test tests/unit/formats tests/e2e/lazy_test.ts --filter index`. A runner that dies or
 * hangs counts as a failed test, and so does a skip without a reason.
 * @module
 */

import { bundle } from "../../tools/binary/bundle.ts";
import { pause } from "../support/host/mod.ts";
import { type DebianPackage, installPackages } from "../support/packages.ts";
import {
  type Counts,
  place,
  readCounts,
  readReasons,
  readReport,
  slowest,
} from "./outcome.ts";
import {
  countAgain,
  describeFailures,
  failuresOf,
  filesToTryAgain,
  type Outcome,
} from "./second_try.ts";
import { deal, select, type Selection } from "./storeys.ts";

/** Debian packages the integration and end-to-end tests use, and a program each one brings. */
const DEBIAN_PACKAGES: readonly DebianPackage[] = [
  ["containerd", "containerd"],
  ["runc", "runc"],
  ["docker-registry", "docker-registry"],
  ["skopeo", "skopeo"],
  ["containernetworking-plugins", "/usr/lib/cni/ptp"],
  ["pigz", "pigz"],
  ["zstd", "zstd"],
  ["attr", "setfattr"],
  ["acl", "setfacl"],
  ["libarchive-tools", "bsdtar"],
  ["libcap2-bin", "setcap"],
  ["iproute2", "ip"],
  ["iptables", "iptables"],
  ["busybox-static", "busybox"],
  ["openssl", "openssl"],
  ["e2fsprogs", "mkfs.ext4"],
  ["python3", "python3"],
  ["patchelf", "patchelf"],
  ["systemd", "/usr/lib/systemd/systemd"],
];
/** What some tests compare with, and are skipped without: installed for a run of everything. */
const WANTED_PACKAGES: readonly DebianPackage[] = [
  ["fish", "fish"],
  ["zsh", "zsh"],
  ["gcc", "x86_64-linux-gnu-gcc"],
  ["gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc"],
  ["libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/include/stdio.h"],
];
const SLOWEST = 10;
/** So many run side by side at the most: each compiles what it imports. */
const PROCESSES = 4;
/** So long a runner that hangs has to say which tests are pending, before it is killed, ms. */
const LAST_WORDS_MS = 10_000;
/** What a runner has written is read so long after its end, ms. */
const LAST_OUTPUT_MS = 2_000;
/** Later no file gets a second try: CI has 25 minutes. */
const LAST_SECOND_TRY_MS = 23.5 * 60_000;
const ROOT = new URL("../../", import.meta.url).pathname;

/** Runs one storey, in one process or in several side by side. */
async function runStorey(selection: Selection): Promise<readonly Outcome[]> {
  const { parallel, atOnce } = selection.storey;
  if (!parallel) return [await run(selection, "live")];
  if (atOnce !== undefined) return await runQueue(selection, atOnce);
  const hands = deal(
    selection.paths,
    Math.min(PROCESSES, navigator.hardwareConcurrency),
  );
  return await Promise.all(
    hands.map((paths) => run({ ...selection, paths }, "whole")),
  );
}

/** Runs each path in a process of its own, at most so many at once, in order. */
async function runQueue(
  selection: Selection,
  atOnce: number,
): Promise<readonly Outcome[]> {
  const left = [...selection.paths];
  const outcomes: Outcome[] = [];
  const runner = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) {
      outcomes.push(await run({ ...selection, paths: [path] }, "whole"));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runner));
  return outcomes;
}

/**
 * Runs one process.
 * @param show its output as it comes, or all of it at its end, where others run beside it.
 */
async function run(
  { storey, paths, flags }: Selection,
  show: "live" | "whole",
): Promise<Outcome> {
  const report = await Deno.makeTempFile({ prefix: "soci-deno-junit-" });
  try {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["test", "-A", "--no-check", `--junit-path=${report}`],
        ...storey.flags,
        ...flags,
        ...paths,
      ],
      cwd: ROOT,
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let hangs = false;
    let last: ReturnType<typeof setTimeout> | undefined;
    const limit = setTimeout(() => {
      hangs = true;
      child.kill("SIGINT"); // it names the tests that are pending
      last = setTimeout(() => child.kill("SIGKILL"), LAST_WORDS_MS);
    }, storey.limitMs);
    let output = "";
    const decoder = new TextDecoder();
    const shown = (async () => {
      for await (const chunk of child.stdout) {
        if (show === "live") Deno.stdout.writeSync(chunk);
        output += decoder.decode(chunk, { stream: true });
      }
    })();
    const { code, signal } = await child.status;
    // A process that a killed runner left behind may hold the pipe for ever.
    await Promise.race([shown, pause(LAST_OUTPUT_MS)]);
    if (show === "whole") console.log(output);
    clearTimeout(limit);
    clearTimeout(last);
    const told = readCounts(output);
    let counts = told ?? { passed: 0, failed: 0, skipped: 0 };
    const died = hangs || told === null || (code !== 0 && told.failed === 0);
    if (died) {
      counts = { ...counts, failed: counts.failed + 1 };
      const why = hangs
        ? `was stopped after ${storey.limitMs / 60_000} minutes`
        : `ended by ${signal ?? `code ${code}`} before its end`;
      console.log(`the runner of ${storey.name} tests ${why}`);
    }
    const tests = readReport(await Deno.readTextFile(report));
    const failed = tests.filter(({ failure }) => failure !== null).length;
    return {
      counts,
      tests,
      reasons: readReasons(output),
      paths,
      // A file that throws while it is loaded is counted, and is no test.
      died: died || counts.failed > failed,
      output,
    };
  } finally {
    await Deno.remove(report);
  }
}

/** Runs files once more, one after the other. */
async function tryAgain(
  files: readonly string[],
): Promise<ReadonlyMap<string, Outcome>> {
  const again = new Map<string, Outcome>();
  for (const file of files) {
    if (performance.now() > LAST_SECOND_TRY_MS) break;
    console.log(`once more, alone: ${file}`);
    for (const selection of select([file])) {
      again.set(file, await run(selection, "live"));
    }
  }
  return again;
}

/**
 * Tests of a whole host start the program some hundred times: they run it bundled, as it ships, which costs half of
 * what its sources cost. The bundle is gone at the end.
 */
async function bundleFor(
  selections: readonly Selection[],
): Promise<AsyncDisposable> {
  const none = { [Symbol.asyncDispose]: () => Promise.resolve() };
  const hosts = selections.some(({ storey, paths }) =>
    paths.length > 0 && storey.name !== "unit"
  );
  if (!hosts || Deno.env.has("SOCI_DENO_TEST_PROGRAM")) return none;
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-bundle-" });
  await bundle(folder);
  Deno.env.set("SOCI_DENO_TEST_BUNDLE", folder);
  return {
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Lists the skips. @returns how many of them have no reason. */
function tellSkips(outcomes: readonly Outcome[]): number {
  let silent = 0;
  for (const { tests, reasons } of outcomes) {
    for (const test of tests) {
      if (!test.skipped) continue;
      const reason = reasons.get(test.name);
      if (reason === undefined) silent++;
      console.log(
        `skipped: ${test.name}${place(test)}: ${reason ?? "without a reason"}`,
      );
    }
  }
  return silent;
}

async function main(args: readonly string[]): Promise<number> {
  let selections: readonly Selection[];
  try {
    selections = select(args);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  const missing = installPackages(DEBIAN_PACKAGES);
  if (missing.length > 0) {
    console.error(
      `the tests need these Debian packages, install them first: ${
        missing.join(" ")
      }`,
    );
    return 1;
  }
  if (args.length === 0) installPackages(WANTED_PACKAGES);
  const outcomes: Outcome[] = [];
  await using _bundle = await bundleFor(selections);
  for (const selection of selections) {
    outcomes.push(...await runStorey(selection));
  }
  const again = await tryAgain(
    args.length === 0 ? filesToTryAgain(outcomes) : [],
  );
  const counted = outcomes.map((outcome) => countAgain(outcome, again));
  console.log(`\nthe ${SLOWEST} slowest tests:`);
  console.log(slowest(outcomes.flatMap(({ tests }) => tests), SLOWEST));
  const silent = tellSkips(outcomes);
  const sum = (kind: keyof Counts) =>
    counted.reduce((all, { counts }) => all + counts[kind], 0);
  const passedThen = counted.flatMap((one) => one.passedThen);
  if (passedThen.length > 0) {
    console.log("failed at first, and passed alone:");
    console.log(describeFailures(passedThen));
  }
  const names = new Set(passedThen.map(({ name }) => name));
  const failures = outcomes.flatMap(failuresOf)
    .filter(({ name }) => !names.has(name));
  if (failures.length > 0) {
    console.log("failed:");
    console.log(describeFailures(failures));
  }
  const passed = sum("passed");
  const failed = sum("failed") + silent;
  console.log(`${passed} passed, ${failed} failed, ${sum("skipped")} skipped`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));
