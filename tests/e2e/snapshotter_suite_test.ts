/**
 * containerd's own suite for snapshotters, each of its tests on a daemon of its own. It is built with Go, once a
 * machine: of containerd 2 by its modules, of 1.6 by Debian's packages where there is no Go.
 * @module
 */
import assert from "node:assert/strict";
import { sociDenoCommand, tryRun } from "../support/host/mod.ts";
import { testUnless } from "../support/test_unless.ts";

const SOURCES = new URL("../support/snapshotter_suite/", import.meta.url)
  .pathname;
/** What overlayfs itself fails on most kernels: their redirect_dir is off, and a rename of a lower directory is EXDEV. */
const MAY_FAIL = "Rename";

/** What Debian has it in, for a machine without Go: the suite of containerd 1.6, and the compiler. */
const PACKAGES = ["golang-go", "golang-github-containerd-containerd-dev"];
/** Where packages of 1.x have what 2.x has elsewhere. */
const OF_2 = /containerd\/v2\/core\/snapshots/g;
const OF_1 = "containerd/snapshots";
const BUILD = ["test", "-c", "-trimpath", "-vet=off", "-o"];
const LIMIT_MS = 600_000;
const FETCH_LIMIT_MS = 90_000;

/** The suite's program, built where it is not there; where it cannot be had, why. */
async function suite(): Promise<{ program: string } | { missing: string }> {
  const { stdout: sums } = await tryRun("sha256sum", [
    ...["go.mod", "go.sum", "suite_test.go"].map((name) => SOURCES + name),
  ]);
  const release = sums.split("\n").map((line) => line.slice(0, 8)).join("");
  const program = `/var/tmp/soci-deno-snapshotter-suite-${release}`;
  if ((await tryRun("test", ["-x", program])).code === 0) return { program };
  const why = await buildOfModules(`${program}.new`) &&
    await buildOfPackages(`${program}.new`);
  if (why) return { missing: `containerd's suite cannot be built: ${why}` };
  await Deno.rename(`${program}.new`, program);
  return { program };
}

/** Builds it with this machine's Go. @returns why not; an empty text when it is there. */
async function buildOfModules(program: string): Promise<string> {
  if ((await tryRun("sh", ["-c", "command -v go"])).code !== 0) return "no Go";
  const where = { cwd: SOURCES, env: { CGO_ENABLED: "0" } };
  // Has the modules fetched, without a wait for a proxy that cannot be reached.
  for (
    const [args, timeoutMs] of [
      [["list", "-deps", "-test", "."], FETCH_LIMIT_MS],
      [[...BUILD, program, "."], LIMIT_MS],
    ] as const
  ) {
    const { code, stderr } = await tryRun("go", [...args], {
      ...where,
      timeoutMs,
    });
    if (code !== 0) return `go ${args[0]}: ${stderr.slice(-300)}`;
  }
  return "";
}

/** Builds it with Debian's packages, which are unpacked and not installed. @returns as above. */
async function buildOfPackages(program: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-go-" });
  try {
    const got = await tryRun("sh", [
      "-ec",
      `
      apt-get install -y -qq --no-install-recommends --download-only \\
        -o Dir::Cache::archives=${folder} ${PACKAGES.join(" ")}
      for one in ${folder}/golang*.deb; do dpkg-deb -x "$one" ${folder}; done`,
    ], {
      timeoutMs: LIMIT_MS,
    });
    if (got.code !== 0) return got.stderr.slice(-300);
    const share = `${folder}/usr/share/gocode`;
    const source = await Deno.readTextFile(`${SOURCES}suite_test.go`);
    await Deno.mkdir(`${share}/src/suite`);
    await Deno.writeTextFile(
      `${share}/src/suite/suite_test.go`,
      source.replaceAll(OF_2, OF_1),
    );
    const root = await Deno.realPath(`${folder}/usr/lib/go`);
    const { code, stderr } = await tryRun(`${root}/bin/go`, [
      ...[...BUILD, program, "."],
    ], {
      cwd: `${share}/src/suite`,
      timeoutMs: LIMIT_MS,
      env: {
        ...{ GO111MODULE: "off", GOROOT: root, GOPATH: share },
        ...{ GOCACHE: `${folder}/cache`, GOFLAGS: "", CGO_ENABLED: "0" },
      },
    });
    return code === 0 ? "" : stderr.slice(-300);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
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
