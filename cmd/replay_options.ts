/** How the daemon brings what load orders name, from its configuration. @module */
import type { Config } from "../lib/config/mod.ts";
import type { RecordingsFolder } from "../lib/images/order/mod.ts";
import type { ReplayOptions } from "../lib/images/replay/mod.ts";

/** Those options. @param recordings what this node has recorded. */
export function replayOptions(
  { enable, unpinned, max_bytes, max_waste_percent, workloads }:
    Config["load_order"],
  recordings: RecordingsFolder,
): ReplayOptions {
  return {
    ...{ enable, unpinned, maxBytes: max_bytes },
    maxWaste: max_waste_percent / 100,
    workloads: Object.entries(workloads),
    learned: (repository, workload) => recordings.order(repository, workload),
  };
}
