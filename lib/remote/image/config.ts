import {
  type Descriptor,
  type Digest,
  isDigest,
  type Platform,
} from "../../formats/oci/mod.ts";
import { isWorkload, WORKLOAD_CONFIG_LABEL } from "../../formats/order/mod.ts";
import type { LayerSource } from "../content/mod.ts";

/** The label of an image's configuration that says how the image is taken. */
const POLICY_CONFIG_LABEL = "soci-deno.policy";

/** The most bytes of a config that are looked at; real ones have some kilobytes. */
const MAX_CONFIG_BYTES = 8 * 2 ** 20;

/** What an image's config says, as far as it matters here. */
export interface ImageConfig {
  /** The config as it was read; null when it is larger than {@link MAX_CONFIG_BYTES}. */
  readonly bytes: Uint8Array | null;
  /** What machine the image is for; null where it does not say. */
  readonly platform: Platform | null;
  /** Digests of the uncompressed layers, bottom first; null where there is no such list. */
  readonly diffIds: readonly Digest[] | null;
  /** The workload that its label names; null where it names none. */
  readonly workload: string | null;
  /** What its label says of how it is taken, whatever that is; null where it says nothing. */
  readonly policy: string | null;
  /** How long the request took, ms: about one round trip, because a config is small. */
  readonly tookMs: number;
}

/** Reads a config. A config of another kind, as artifacts have, gives only nulls. */
export async function readConfig(
  source: LayerSource,
  descriptor: Descriptor,
  signal?: AbortSignal,
): Promise<ImageConfig> {
  if (descriptor.size > MAX_CONFIG_BYTES) {
    return {
      bytes: null,
      platform: null,
      diffIds: null,
      workload: null,
      policy: null,
      tookMs: 0,
    };
  }
  const asked = performance.now();
  const bytes = await source.bytes(descriptor, { signal });
  const tookMs = performance.now() - asked;
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    value = {}; // no JSON: it says nothing
  }
  return {
    bytes,
    platform: platformOf(value),
    diffIds: idsOf(value),
    workload: workloadOf(value),
    policy: labelOf(value, POLICY_CONFIG_LABEL),
    tookMs,
  };
}

function platformOf(
  { os, architecture, variant }: Record<string, unknown>,
): Platform | null {
  if (typeof os !== "string" || typeof architecture !== "string") return null;
  return typeof variant === "string" && variant !== ""
    ? { os, architecture, variant }
    : { os, architecture };
}

function idsOf({ rootfs }: Record<string, unknown>): readonly Digest[] | null {
  const { diff_ids: ids } = Object(rootfs);
  return Array.isArray(ids) && ids.every(isDigest) ? ids : null;
}

function workloadOf(config: Record<string, unknown>): string | null {
  const said = labelOf(config, WORKLOAD_CONFIG_LABEL);
  return isWorkload(said) ? said : null;
}

function labelOf(
  { config }: Record<string, unknown>,
  name: string,
): string | null {
  const labels = Object(Object(config).Labels);
  const said = Object.hasOwn(labels, name) ? labels[name] : null;
  return typeof said === "string" ? said : null;
}
