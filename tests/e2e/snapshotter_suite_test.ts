/**
 * containerd's own suite for snapshotters, each of its tests on a daemon of its own. It is built with Go, once a
 * machine.
 * @module
 */
import assert from "node:assert/strict";
import { sociDenoCommand, tryRun } from "../support/host/mod.ts";
import { testUnless } from "../support/test_unless.ts";

const SOURCES = new URL("../support/snapshotter_suite/", import.meta.url)
  .pathname;
/** What overlayfs itself fails on most kernels: their redirect_dir is off, and a rename of a lower directory is EXDEV. */
const MAY_FAIL = "Rename";

/** The suite's program; where it cannot be had, why. */
async function suite(): Promise<{ program: string } | { missing: string }> {
  const { stdout: sums } = await tryRun("sha256sum", [
    ...["go.mod", "go.sum", "suite_test.go"].map((name) => SOURCES + name),
  ]);
  const release = sums.split("\n").map((line) => line.slice(0, 8)).join("");
  const program = `/var/tmp/soci-deno-snapshotter-suite-${release}`;
  if ((await tryRun("test", ["-x", program])).code === 0) return { program };
  if ((await tryRun("sh", ["-c", "command -v go"])).code !== 0) {
    return {
      missing: "containerd's suite is built with Go, which is not here",
    };
  }
  const { code, stderr } = await tryRun("go", [
    ...["test", "-c", "-trimpath", "-vet=off", "-o", `${program}.new`, "."],
  ], { cwd: SOURCES, timeoutMs: 600_000, env: { CGO_ENABLED: "0" } });
  if (code !== 0) {
    return { missing: `Go cannot build it: ${stderr.slice(-300)}` };
  }
  await Deno.rename(`${program}.new`, program);
  return { program };
}

const found = await suite();

testUnless("missing" in found ? found.missing : null, {
  name: "containerd's suite for snapshotters passes",
  fn: async () => {
    assert.ok("program" in found);
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-suite-" });
    const { program, args } = sociDenoCommand();
    const { stdout, stderr } = await tryRun(found.program, [
      ...["-test.v", "-test.root", "-test.parallel", "4"],
    ], {
      cwd: folder,
      timeoutMs: 600_000,
      env: { SOCI_DENO_SUITE_COMMAND: [program, ...args].join("\n") },
    });
    const results = [
      ...stdout.matchAll(
        /^ +--- (PASS|FAIL|SKIP): TestSnapshotter\/(\S+)/gm,
      ),
    ].map(([, result = "", name = ""]) => ({ result, name }));
    for (const { result, name } of results) console.log(`  ${result} ${name}`);
    const why = `${stdout.slice(-20_000)}${stderr.slice(-5_000)}`;
    assert.deepEqual(
      results.filter(({ result, name }) =>
        result !== "PASS" && name !== MAY_FAIL
      ),
      [],
      why,
    );
    assert.ok(results.length >= 20, why);
    const renamed = results.find(({ name }) => name === MAY_FAIL);
    assert.ok(renamed?.result !== "FAIL" || /cross-device/.test(stdout), why);
    await Deno.remove(folder, { recursive: true });
  },
});
