import { makeScratchFolder, removeFolder } from "../../host/files/mod.ts";
import { LayerStore, type LayerStoreOptions } from "./layers.ts";

/**
 * Serves no layer for a moment, in a folder of its own in memory: proves that this process has what it takes to serve
 * layers (its Workers, FUSE, the face that is wanted, the mount helper) before another one gives way to it.
 * @throws what `LayerStore.open` throws
 */
export async function rehearse(
  options: Pick<LayerStoreOptions, "face" | "mountHelper">,
): Promise<void> {
  const root = makeScratchFolder();
  try {
    const store = await LayerStore.open({
      ...options,
      root,
      mountDirectory: `${root}/fs`,
    });
    await store[Symbol.asyncDispose]();
  } finally {
    removeFolder(root);
  }
}
