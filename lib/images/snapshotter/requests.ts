import { namespaceInName } from "./schema.ts";
import { type Labels, TARGET_LABEL } from "./types.ts";

/** A snapshot to make. */
export interface PrepareRequest {
  /** The snapshot's name until it is committed or removed. */
  readonly key: string;
  /** Name of a committed snapshot; empty for none. */
  readonly parent: string;
  /** A target label asks for a lazily served layer. */
  readonly labels?: Labels | undefined;
  /** The caller's containerd namespace. Default: the one in `key`, if any: releases before 2.0 do not send it. */
  readonly namespace?: string | undefined;
  /** Fires when the caller gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** An active snapshot to commit. */
export interface CommitRequest {
  /** Its name as a parent; for a layer, its chain ID. */
  readonly name: string;
  /** Key of the active snapshot; it is gone afterwards. */
  readonly key: string;
  /** Replace the snapshot's labels. */
  readonly labels?: Labels | undefined;
}

/** A request whose namespace was looked for. */
export interface NamedRequest extends PrepareRequest {
  /** Whether the caller said its namespace: then it says it for lists, too. */
  readonly saysNamespace: boolean;
}

/** How CRI and its like name containers and pods. The key of a layer that is unpacked ends in a chain ID. */
const CONTAINER_KEY = /(?:^|\/)[0-9a-f]{64}$/;

/**
 * What the labels of a snapshot say of images and layers: nothing where it is a container's. containerd copies
 * annotations of pods into those, and whoever may make a pod writes them.
 */
export function layerLabelsOf(key: string, labels: Labels = {}): Labels {
  return CONTAINER_KEY.test(key) ? {} : labels;
}

/** Chain ID of the layer that a snapshot is to be; null for any other snapshot. */
export function targetOf(
  { key, labels }: Pick<PrepareRequest, "key" | "labels">,
): string | null {
  return layerLabelsOf(key, labels)[TARGET_LABEL] || null;
}

/** A request with its namespace, as the caller said it or its key has it. */
export function withNamespace(request: PrepareRequest): NamedRequest {
  const { namespace, key } = request;
  return {
    ...request,
    namespace: namespace ?? namespaceInName(key) ?? undefined,
    saysNamespace: namespace !== undefined,
  };
}
