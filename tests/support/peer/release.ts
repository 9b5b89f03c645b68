/** A recent release of the existing tools, built from their Go module: Debian's is years older. @module */
import { run, tryRun } from "../host/mod.ts";
import { testUnless } from "../test_unless.ts";
import type { SociPeer } from "./programs.ts";

/** The release whose bytes ours are compared with. */
export const SOCI_RELEASE = "v0.16.1";
const MODULE = "github.com/awslabs/soci-snapshotter";
/** Its commands are a module of their own, without releases: the same commit. */
const COMMANDS = "v0.0.0-20260930233240-61147fe7c929";
const PROGRAMS = ["soci", "soci-snapshotter-grpc"] as const;
/** `go install` refuses a module that replaces others by folders: a module around it may say what it means. */
const GO_MOD = `module build

go 1.24

require ${MODULE}/cmd ${COMMANDS}

replace ${MODULE} v0.0.0-local => ${MODULE} ${SOCI_RELEASE}
`;
const TOOLS_GO = `package tools

import (
${PROGRAMS.map((name) => `\t_ "${MODULE}/cmd/${name}"\n`).join("")})
`;

/** Set to `build`, the release is built where it is missing. */
const BUILD_VARIABLE = "SOCI_DENO_TEST_RELEASE";
const FOLDER = `/var/tmp/soci-deno-soci-${SOCI_RELEASE}`;

/** Builds the release once for all test runs of a machine: some minutes. @throws CommandError */
export async function sociRelease(): Promise<SociPeer> {
  const peer = {
    soci: `${FOLDER}/soci`,
    grpc: `${FOLDER}/soci-snapshotter-grpc`,
  };
  if ((await tryRun("test", ["-x", peer.grpc])).code === 0) return peer;
  const work = await Deno.makeTempDir({ prefix: "soci-deno-soci-" });
  // Built aside and renamed, so that a run that is cut leaves no half of it.
  const aside = await Deno.makeTempDir({ dir: "/var/tmp" });
  try {
    await Deno.writeTextFile(`${work}/go.mod`, GO_MOD);
    await Deno.writeTextFile(`${work}/tools.go`, TOOLS_GO);
    const packages = PROGRAMS.map((name) => `${MODULE}/cmd/${name}`);
    await run("go", ["build", "-trimpath", "-o", `${aside}/`, ...packages], {
      cwd: work,
      env: { CGO_ENABLED: "1", GOFLAGS: "-mod=mod -buildvcs=false" },
      timeoutMs: 900_000,
    });
    await Deno.chmod(aside, 0o755);
    await Deno.rename(aside, FOLDER);
  } finally {
    await Deno.remove(work, { recursive: true });
    await Deno.remove(aside, { recursive: true }).catch(() => {}); // renamed by now
  }
  return peer;
}

/** A test with {@link sociRelease}; skipped where that is neither built nor to be built. */
export function testWithSociRelease(
  name: string,
  fn: (t: Deno.TestContext) => Promise<void>,
): void {
  testUnless(whyNoRelease(), { name, fn });
}

function whyNoRelease(): string | null {
  const holds = (script: string) =>
    new Deno.Command("sh", { args: ["-c", script], stdout: "null" })
      .outputSync().code === 0;
  if (holds(`test -x ${FOLDER}/soci-snapshotter-grpc`)) return null;
  if (Deno.env.get(BUILD_VARIABLE) !== "build") {
    return "building the existing tools takes minutes: `deno task upstream` does it, once a machine";
  }
  return holds("command -v go && command -v gcc && test -e /usr/include/zlib.h")
    ? null
    : "the existing tools are built with Go, gcc and zlib's headers";
}
