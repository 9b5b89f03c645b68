import { CRI_LABELS } from "../../remote/image/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { PrepareRequest } from "./requests.ts";

const log = logger("snapshotter");

/**
 * Says whether a layer is served, in the words that runbooks for the existing daemon look for. Why it is not, the line
 * before says.
 */
export function tellOutcome(
  { key, parent, labels = {}, namespace }: PrepareRequest,
  isServed: boolean,
): void {
  const fields = {
    "remote-snapshot-prepared": String(isServed),
    ...(!isServed && { "defer-snapshot-runtime": "true" }),
    image: labels[CRI_LABELS.imageRef],
    layerDigest: labels[CRI_LABELS.layerDigest],
    ...{ key, parent, namespace },
  };
  if (isServed) log.info("prepared remote snapshot", fields);
  else log.info("deferring snapshot to container runtime", fields);
}
