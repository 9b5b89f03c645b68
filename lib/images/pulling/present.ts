/** What is asked about the snapshots of an image's layers. */
export interface LayerSnapshots {
  /** Whether containerd has the snapshot of a layer, by the layer's position. */
  readonly has: (position: number) => Promise<boolean>;
  /** Has it stay for as long as the pull takes, if it is there; with it those below it. */
  readonly hold: (position: number) => Promise<void>;
}

/**
 * How many of an image's layers containerd has, from the bottom on; they stay. A snapshot is there only while the one
 * that it builds on is, so a few of many are asked about.
 * @param layers of the image.
 * @throws what the callbacks throw
 */
export async function heldLayers(
  layers: number,
  { has, hold }: LayerSnapshots,
): Promise<number> {
  for (let most = layers;;) {
    const count = await presentLayers(most, has);
    if (count === 0) return 0;
    // Nothing may have held it, as after a pull that failed.
    await hold(count - 1);
    if (await has(count - 1)) return count;
    most = count - 1;
  }
}

async function presentLayers(
  layers: number,
  has: LayerSnapshots["has"],
): Promise<number> {
  if (layers === 0) return 0;
  // All or none, mostly.
  const [bottom, top] = await Promise.all([has(0), has(layers - 1)]);
  if (top) return layers;
  let present = bottom ? 1 : 0;
  let missing = bottom ? layers - 1 : 0;
  while (present < missing) {
    const middle = Math.floor((present + missing) / 2);
    if (await has(middle)) present = middle + 1;
    else missing = middle;
  }
  return present;
}
