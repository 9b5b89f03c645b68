import { SnapshotError } from "./errors.ts";
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

/**
 * How an Update changes the labels of a snapshot.
 * @param paths `labels` replaces all of them, `labels.<key>` sets one (an empty value removes it); none means
 * `labels`.
 * @throws SnapshotError `invalid-argument` for a path that is neither.
 */
export function labelChange(
  key: string,
  labels: Labels,
  paths: readonly string[],
): (before: Labels) => Labels {
  const changes = paths.length === 0 ? ["labels"] : paths;
  const wrong = changes.find((path) =>
    path !== "labels" && !path.startsWith("labels.")
  );
  if (wrong !== undefined) {
    throw new SnapshotError(
      "invalid-argument",
      key,
      `cannot update field ${wrong} of snapshot ${key}`,
    );
  }
  return (before) =>
    changes.reduce<Labels>((result, path) => {
      if (path === "labels") return labels;
      const label = path.slice("labels.".length);
      return { ...result, [label]: labels[label] ?? "" };
    }, before);
}
