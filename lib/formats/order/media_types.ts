/** Media types of a load order. */
export const ORDER_MEDIA = {
  /** The artifact type of the manifest that holds plan and packs. */
  artifact: "application/vnd.soci-deno.load-order.v1",
  plan: "application/vnd.soci-deno.load-order.plan.v1",
  pack: "application/vnd.soci-deno.load-order.pack.v1",
  /** The manifest's config, `{}`, as the OCI image specification asks of artifacts. */
  config: "application/vnd.oci.empty.v1+json",
} as const;

/** Annotation keys of a load order. */
export const ORDER_ANNOTATION = {
  /** On the manifest and on descriptors of it: which workload it is for. */
  workload: "soci-deno.load-order.workload",
  /** On the manifest and on descriptors of it: `os/arch[/variant]`. */
  platform: "soci-deno.load-order.platform",
  /** On a SOCI index v2: the load orders that it pins; see `encodePins`. */
  pins: "soci-deno.load-orders",
} as const;

/** The label of an image's configuration that names the workload it is for. */
export const WORKLOAD_CONFIG_LABEL = "soci-deno.workload";

/** The workload of a load order that names none. */
export const DEFAULT_WORKLOAD = "default";

/** Whether text can name a workload: lower-case letters, digits, `.`, `_`, `-`; at most 64. */
export function isWorkload(text: unknown): text is string {
  return typeof text === "string" && /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text);
}
