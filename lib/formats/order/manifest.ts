import {
  annotationsJson,
  type Descriptor,
  descriptorJson,
  documentBytes,
  type ImageManifest,
  ManifestError,
  MEDIA,
  parseManifest,
} from "../oci/mod.ts";
import { OrderError } from "./errors.ts";
import {
  DEFAULT_WORKLOAD,
  isWorkload,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
} from "./media_types.ts";
import { PLAN_LIMITS } from "./model.ts";
import { EMPTY_CONFIG, EMPTY_CONFIG_DIGEST } from "../soci/mod.ts";

/** What points to content, without what a list adds. */
export type Content = Pick<Descriptor, "mediaType" | "digest" | "size">;

/** The manifest of a load order: one plan, and the packs that it names. */
export interface OrderManifest {
  /** Which workload of the image it is for. */
  readonly workload: string;
  /** `os/arch[/variant]`; empty where the manifest does not say. */
  readonly platform: string;
  /** Where the plan is. */
  readonly plan: Content;
  /** The packs, as many as the plan names and in its order. */
  readonly packs: readonly Content[];
  /** The image manifest that it is a referrer of. One that an index pins may have none. */
  readonly subject?: Content;
}

/** Writes a manifest: the same facts give the same bytes. */
export function encodeOrderManifest(order: OrderManifest): Uint8Array {
  const { subject } = order;
  return documentBytes({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    artifactType: ORDER_MEDIA.artifact,
    config: descriptorJson({
      mediaType: ORDER_MEDIA.config,
      digest: EMPTY_CONFIG_DIGEST,
      size: EMPTY_CONFIG.length,
    }),
    layers: [order.plan, ...order.packs].map(descriptorJson),
    ...(subject && { subject: descriptorJson(subject) }),
    ...annotationsJson(orderAnnotations(order)),
  });
}

/** What a manifest, and a descriptor of one, says of its load order. */
export function orderAnnotations(
  { workload, platform }: Pick<OrderManifest, "workload" | "platform">,
): Record<string, string> {
  return {
    [ORDER_ANNOTATION.workload]: workload,
    ...(platform !== "" && { [ORDER_ANNOTATION.platform]: platform }),
  };
}

/**
 * Which workload and platform annotations name. A referrer without a workload, or with one that is no
 * name, is the default one's.
 */
export function orderFacts(
  annotations: Readonly<Record<string, string>> | undefined,
): Pick<OrderManifest, "workload" | "platform"> {
  const workload = annotations?.[ORDER_ANNOTATION.workload];
  const platform = annotations?.[ORDER_ANNOTATION.platform] ?? "";
  return {
    workload: isWorkload(workload) ? workload : DEFAULT_WORKLOAD,
    platform: platform.length <= 100 ? platform : "",
  };
}

/** Reads a manifest from an untrusted place. @throws OrderError, and nothing else. */
export function decodeOrderManifest(bytes: Uint8Array): OrderManifest {
  const manifest = parse(bytes);
  const [plan, ...packs] = manifest.layers;
  if (
    manifest.artifactType !== ORDER_MEDIA.artifact ||
    plan?.mediaType !== ORDER_MEDIA.plan
  ) throw new OrderError("value", "manifest is none of a load order");
  if (plan.size > PLAN_LIMITS.planBytes) {
    throw new OrderError("too-large", `load order of ${plan.size} bytes`);
  }
  if (packs.length > PLAN_LIMITS.packs) {
    throw new OrderError("too-large", `load order of ${packs.length} packs`);
  }
  if (packs.some(({ mediaType }) => mediaType !== ORDER_MEDIA.pack)) {
    throw new OrderError("value", "load order has a blob that is no pack");
  }
  return {
    ...orderFacts(manifest.annotations),
    plan,
    packs,
    ...(manifest.subject && { subject: manifest.subject }),
  };
}

function parse(bytes: Uint8Array): ImageManifest {
  try {
    return parseManifest(bytes);
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause;
    throw new OrderError("value", `load order: ${cause.message}`, { cause });
  }
}
