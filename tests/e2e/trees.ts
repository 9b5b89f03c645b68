/** The tree of an image as each snapshotter shows it, for comparison. @module */
import { connectContainerd } from "../../lib/remote/containerd/mod.ts";
import {
  compareTrees,
  type TreeEntry,
  treeOf,
} from "../support/compare/mod.ts";
import { ctrPull, run } from "../support/host/mod.ts";
import { type Image, pushImage } from "../support/images/mod.ts";
import type { TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, type LazyHost } from "./host.ts";

/** Mounts a view of a committed snapshot and lists its tree. */
export async function viewTree(
  host: LazyHost,
  chainId: string,
  snapshotter: string,
): Promise<TreeEntry[]> {
  return await withMounted(
    host,
    chainId,
    snapshotter,
    "view",
    (target) => treeOf(target, { ignoreXattrs: ["trusted.overlay."] }),
  );
}

/** Mounts a snapshot on top of a committed one, as containerd would, and takes it away again. */
export async function withMounted<T>(
  host: LazyHost,
  chainId: string,
  snapshotter: string,
  kind: "view" | "prepare",
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const key = `${kind}-${crypto.randomUUID()}`;
  const target = `${host.folder}/${key}`;
  await Deno.mkdir(target);
  using containerd = await connectContainerd(host.containerd.address, {
    namespace: "default",
  });
  // Without a lease containerd may collect the snapshot at once.
  return await containerd.leases.during(
    { expiresInMs: 60_000 },
    async (lease) => {
      const snapshots = containerd.snapshots.of(snapshotter);
      const [mount] = await snapshots[kind](key, chainId, { lease });
      if (mount === undefined) throw new Error("nothing to mount");
      await run("mount", [
        ...["-t", mount.type, mount.source, target],
        ...["-o", mount.options.join(",")],
      ], { timeoutMs: 10_000 });
      try {
        return await use(target);
      } finally {
        await run("umount", [target], { timeoutMs: 10_000 });
        await snapshots.remove(key, { lease });
      }
    },
  );
}

/** Indexes and pulls an image lazily, and has overlayfs unpack it; its top chain ID. */
export async function bothWays(
  host: LazyHost,
  registry: TestRegistry,
  name: string,
  image: Image,
): Promise<{ chainId: string; outcomes: string[]; reference: string }> {
  const reference = `${registry.host}/${name}`;
  await pushImage(registry.host, name, image);
  await buildIndex("--min-layer-size", "0", reference);
  const pulled = await host.pull(reference);
  await ctrPull(host.containerd, reference);
  return {
    reference,
    chainId: pulled.layers.at(-1)?.chainId ?? "",
    outcomes: pulled.layers.map(({ outcome }) => outcome),
  };
}

/**
 * Whether a directory is implied by some archive of an image: unpacking gives it the time it runs at.
 * The root, which containerd makes by itself, is one. `mtimeNs` is the time it has there.
 */
export type ImpliedDirectories = (path: string, mtimeNs: bigint) => boolean;

/**
 * How the lazy tree differs from the unpacked one. Of `implied` directories times are left out, and
 * how many links they have, which is 1 where overlay merges them.
 */
export async function differences(
  host: LazyHost,
  chainId: string,
  implied: ImpliedDirectories,
) {
  const lazy = await viewTree(host, chainId, "soci");
  const unpacked = await viewTree(host, chainId, "overlayfs");
  const directories = new Map(
    unpacked.filter(({ type }) => type === "dir")
      .map(({ path, mtimeNs }) => [path, mtimeNs]),
  );
  return compareTrees(lazy, unpacked).filter(({ path, field }) => {
    const time = directories.get(path);
    return time === undefined || !implied(path, time) ||
      (field !== "mtimeNs" && field !== "nlink");
  });
}
