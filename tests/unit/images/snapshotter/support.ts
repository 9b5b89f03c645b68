import assert from "node:assert/strict";
import { fileAt, removeSocket } from "../../../../lib/host/handover/mod.ts";
import { closeFd } from "../../../../lib/host/os/mod.ts";
import {
  type LayerProvider,
  listenPrivately,
  type MountSpec,
  serveSnapshots,
  SnapshotError,
  type SnapshotErrorKind,
  type SnapshotService,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import { NO_LAYERS } from "../../../../lib/images/snapshotter/provider.ts";

/** Runs a test on a snapshotter in a folder of its own. */
export async function withSnapshotter(
  use: (snapshotter: Snapshotter, root: string) => Promise<void>,
  provider: LayerProvider = NO_LAYERS,
): Promise<void> {
  const root = Deno.makeTempDirSync();
  try {
    await using snapshotter = await Snapshotter.open({ root, provider });
    await use(snapshotter, root);
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

/**
 * Serves at a path, whose socket goes with the service unless another one has the path by then.
 * @throws SnapshotterSetupError when another process listens there.
 */
export async function serveAt(
  address: string,
  snapshotter: Snapshotter | Promise<Snapshotter>,
  whenTaken: "fail" | "replace" = "fail",
  onPrepare?: () => Disposable,
): Promise<SnapshotService> {
  const descriptor = await listenPrivately(address, whenTaken);
  const file = fileAt(address) ?? "";
  const service = await serveSnapshots(snapshotter, {
    descriptor,
    ...(onPrepare && { onPrepare }),
  });
  return {
    close: (options) => service.close(options),
    async [Symbol.asyncDispose]() {
      await service.close();
      removeSocket({ address, file });
      closeFd(descriptor);
    },
  };
}

/** Whether a failure is a SnapshotError of that kind. */
export function isKind(kind: SnapshotErrorKind): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SnapshotError, String(error));
    assert.equal(error.kind, kind);
    return true;
  };
}

async function run(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("timeout", {
    args: ["10", program, ...args],
  }).output();
  assert.ok(success, `${program}: ${new TextDecoder().decode(stderr)}`);
}

/** Performs the mounts as containerd would, and undoes them. */
export async function mounted<T>(
  mounts: readonly MountSpec[],
  use: (directory: string) => T,
): Promise<T> {
  const directory = Deno.makeTempDirSync();
  const [mount] = mounts;
  assert.ok(mount !== undefined && mounts.length === 1);
  const { type, source, options } = mount;
  if (type === "bind") {
    const readOnly = options.includes("ro");
    await run("mount", ["--rbind", source, directory]);
    if (readOnly) await run("mount", ["-o", "remount,bind,ro", directory]);
  } else {
    await run("mount", ["-t", type, source, directory, "-o", options.join()]);
  }
  try {
    return await use(directory);
  } finally {
    await run("umount", [directory]);
    Deno.removeSync(directory);
  }
}

/** Writes files into an active snapshot through its mounts and commits it. */
export async function layer(
  snapshotter: Snapshotter,
  name: string,
  parent: string,
  change: (directory: string) => void,
): Promise<void> {
  const key = `extract ${name}`;
  await mounted(await snapshotter.prepare({ key, parent }), change);
  await snapshotter.commit({ name, key });
}

/** All files of a directory with their text, sorted. */
export function contents(directory: string): string[] {
  return [...Deno.readDirSync(directory)]
    .map(({ name }) =>
      `${name}=${Deno.readTextFileSync(`${directory}/${name}`)}`
    )
    .sort();
}
