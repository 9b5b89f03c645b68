import { type Digest, sha256 } from "../../formats/oci/mod.ts";

/**
 * Chain ID of a layer on top of `parent` (OCI image spec, config.md): the name of a snapshot that holds
 * the layer and all below it.
 * @param parent chain ID of what is below; empty for the bottom layer.
 */
export function chainIdOf(parent: Digest | "", diffId: Digest): Digest {
  return parent === ""
    ? diffId
    : sha256(new TextEncoder().encode(`${parent} ${diffId}`));
}
