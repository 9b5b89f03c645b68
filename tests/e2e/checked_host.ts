/** A host with an image of files with known digests, and what its containers find wrong. @module */
import assert from "node:assert/strict";
import { type CommandResult, ctrRun, pause } from "../support/host/mod.ts";
import {
  checkedImage,
  type CheckReport,
  pushImage,
  readCheckReport,
} from "../support/images/mod.ts";
import type { TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, type DaemonProcess, LazyHost } from "./host.ts";

/** An indexed image of files with known digests, pulled by a fresh host. */
export async function hostWithImage(
  registry: TestRegistry,
  daemon: DaemonProcess = {},
  config?: string,
) {
  const image = `${registry.host}/checked:1`;
  await pushImage(registry.host, "checked:1", checkedImage());
  await buildIndex("--min-layer-size", "0", "--span-size", "256KiB", image);
  const host = await LazyHost.start({
    daemon,
    ...(config !== undefined && { config }),
  });
  await host.reconnected();
  const { layers } = await host.pull(image);
  assert.deepEqual(
    new Set(layers.map(({ outcome }) => outcome)),
    new Set(["served"]),
  );
  return { host, image };
}

/** Starts a container that checks files for so long. It has begun to read when this resolves. */
export async function startChecker(
  { host, image }: { host: LazyHost; image: string },
  seconds: number,
): Promise<{ readonly ended: Promise<CommandResult> }> {
  const reads = Promise.withResolvers<void>();
  const ended = ctrRun(host.containerd, {
    image,
    id: `checker-${crypto.randomUUID()}`, // runc's names are the machine's
    snapshotter: "soci",
    args: ["/usr/bin/python3", "/app/check.py", "", String(seconds)],
    timeoutMs: seconds * 1000 + 60_000,
    onOutput: (stdout) => {
      if (stdout.includes("ready")) reads.resolve();
    },
  });
  const result = await Promise.race([ended, reads.promise]);
  assert.equal(result, undefined, `it never read: ${result?.stderr}`);
  return { ended };
}

/** Runs a container that checks files for so long, and `during` meanwhile. */
export async function checkedDuring(
  { host, image }: { host: LazyHost; image: string },
  seconds: number,
  during: () => Promise<void>,
): Promise<CheckReport> {
  const { ended } = await startChecker({ host, image }, seconds);
  await pause(500); // in the midst of it
  await during();
  const { code, stdout, stderr } = await ended;
  assert.equal(code, 0, `${stderr}\n${host.logs().slice(-3000)}`);
  const report = readCheckReport(stdout);
  console.log(
    `    ${report.operations} operations, longest ${report.longestMs} ms`,
  );
  assert.deepEqual(report.wrong, []);
  assert.deepEqual(report.errors, []);
  assert.ok(report.operations > 20, `${report.operations} operations`);
  return report;
}

/**
 * Runs a container that checks files for so long, and `during` meanwhile, and fails for wrong bytes only. Reads may
 * fail, and so may the program itself, which lies on the mount that goes: then it says no more than what was wrong.
 */
export async function nothingWrongDuring(
  { host, image }: { host: LazyHost; image: string },
  seconds: number,
  during: () => Promise<void>,
): Promise<void> {
  const { ended } = await startChecker({ host, image }, seconds);
  await pause(500);
  await during();
  const { stdout, stderr } = await ended;
  assert.doesNotMatch(stdout, /^wrong: /m, stderr);
}

/** Whether a file of the image is read right through the daemon, past the kernel's cache. */
export async function readsRight(
  host: LazyHost,
  image: string,
): Promise<boolean> {
  await Deno.writeTextFile("/proc/sys/vm/drop_caches", "1");
  const { stdout } = await ctrRun(host.containerd, {
    image,
    id: `one-${crypto.randomUUID()}`,
    snapshotter: "soci",
    args: ["/usr/bin/python3", "/app/check.py", "", "1"],
  });
  return readCheckReport(stdout).failures === 0;
}
