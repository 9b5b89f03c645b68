/**
 * `deno task test`: installs the real parts the tests talk to (containerd, runc, a registry, image
 * tools), runs every test of this folder, and closes with one line: `N passed, N failed, N skipped`.
 *
 * Arguments are handed to `deno test` (a path narrows the run: `deno task test tests/unit`).
 * @module
 */

import { type DebianPackage, installPackages } from "../support/packages.ts";

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
  ["libcap2-bin", "setcap"],
  ["iproute2", "ip"],
  ["iptables", "iptables"],
  ["busybox-static", "busybox"],
  ["openssl", "openssl"],
  ["faketime", "faketime"],
  ["e2fsprogs", "mkfs.ext4"],
  ["python3", "python3"],
  ["systemd", "/usr/lib/systemd/systemd"],
];

/** Reads `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)`. */
function readSummary(
  output: string,
): { passed: number; failed: number; skipped: number } {
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const line =
    plain.split("\n").findLast((text) =>
      /^(ok|FAILED) \| \d+ passed/.test(text)
    ) ?? "";
  const count = (word: string) =>
    Number(line.match(new RegExp(`(\\d+) ${word}`))?.[1] ?? 0);
  return {
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("ignored"),
  };
}

const missing = installPackages(DEBIAN_PACKAGES);
if (missing.length > 0) {
  console.error(
    `the tests need these Debian packages, install them first: ${
      missing.join(" ")
    }`,
  );
  Deno.exit(1);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false; // a storey without tests
  }
}

const selection = Deno.args.length > 0
  ? Deno.args
  : ["lib", "tests/unit", "tests/integration", "tests/e2e"].filter(exists);
const child = new Deno.Command(Deno.execPath(), {
  // `--doc` runs the examples of doc comments in lib as tests.
  args: ["test", "-A", "--no-check", "--doc", ...selection],
  stdout: "piped",
  stderr: "inherit",
}).spawn();
let output = "";
const decoder = new TextDecoder();
for await (const chunk of child.stdout) {
  Deno.stdout.writeSync(chunk);
  output += decoder.decode(chunk, { stream: true });
}
const { code } = await child.status;
const { passed, failed, skipped } = readSummary(output);
const failures = failed === 0 && code !== 0 ? 1 : failed;
console.log(`${passed} passed, ${failures} failed, ${skipped} skipped`);
Deno.exit(failures === 0 && passed > 0 ? 0 : 1);
