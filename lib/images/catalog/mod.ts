/**
 * Which images containerd has: the images of a namespace whose layers make up a chain.
 *
 * A container's Prepare names a chain and no image, and several images may have that chain. So the snapshotter
 * asks here whose containers may run on it.
 *
 * It may read containerd's image and content stores, with bounded waits, and writes nothing. It must not know
 * what the answer is for.
 * @module
 */
export { ContainerdCatalog, imagesWithChains } from "./containerd_catalog.ts";
