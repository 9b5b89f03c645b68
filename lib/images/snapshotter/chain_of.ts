import type { Ancestor } from "./chains.ts";
import { TARGET_LABEL } from "./types.ts";

/** The chain ID that a snapshot claims. */
export function chainOf(
  { layer, labels, name }: Pick<Ancestor, "layer" | "labels" | "name">,
): string {
  // containerd's own names are `namespace/number/chain ID`.
  return layer?.chainId ?? labels[TARGET_LABEL] ??
    name.replace(/^[^/]+\/[0-9]+\//, "");
}

/** The chain ID below a new snapshot. @param ancestors nearest first. @returns empty when there are none. */
export function chainBelow([nearest]: readonly Ancestor[]): string {
  return nearest === undefined ? "" : chainOf(nearest);
}
