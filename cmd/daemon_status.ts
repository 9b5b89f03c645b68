/** What a running daemon says of itself. @module */
import { setImmediate } from "node:timers/promises";
import type { Config } from "../lib/config/mod.ts";
import type { ImageService, PolicyDecision } from "../lib/images/lazy/mod.ts";
import type {
  ServedImage,
  Snapshotter,
} from "../lib/images/snapshotter/mod.ts";
import type { OrderFigures } from "../lib/images/replay/mod.ts";
import {
  type LayerStore,
  type StoreStatus,
  storeStatus,
} from "../lib/layers/serving/mod.ts";
import { type StateDamage, stateDamages } from "../lib/telemetry/mod.ts";
import { VERSION } from "./version.ts";

/** What a running daemon answers to `soci-deno status`. */
export interface DaemonStatus extends StoreStatus {
  readonly version: string;
  readonly pid: number;
  readonly upSeconds: number;
  readonly address: string;
  readonly residentBytes: number;
  /** JavaScript objects of the main thread, without its Workers, and what the heap holds for them. */
  readonly heap: { readonly usedBytes: number; readonly totalBytes: number };
  /** Repositories that may bring indexes. */
  readonly trust: {
    readonly v1: readonly string[];
    readonly v2: readonly string[];
  };
  /** The images whose layers are served, by name. An older daemon does not say. */
  readonly images?: readonly ServedImage[];
  /** How images are taken that a policy names, as it was decided since the daemon's start. An older one does not say. */
  readonly policies?: readonly PolicyDecision[];
  /** State on disk that this process found lost or changed. */
  readonly damages: readonly StateDamage[];
  /** Layers that wait to be filled in the background, and those that are. */
  readonly background: { readonly waiting: number; readonly filling: number };
  /** What load orders brought since this process was started, by image. */
  readonly orders: readonly OrderFigures[];
}

/** Takes the status of this process. */
export async function daemonStatus(
  { address, config: { trust, pull_modes } }: {
    readonly address: string;
    readonly config: Config;
  },
  store: LayerStore,
  { replays, policies }: Pick<ImageService, "replays" | "policies">,
  snapshotter: Pick<Snapshotter, "servedImages">,
  { background }: Pick<DaemonStatus, "background">,
): Promise<DaemonStatus> {
  const { rss, heapUsed, heapTotal } = Deno.memoryUsage();
  return {
    version: VERSION,
    pid: Deno.pid,
    upSeconds: performance.now() / 1000,
    address,
    residentBytes: rss,
    heap: { usedBytes: heapUsed, totalBytes: heapTotal },
    trust: {
      v1: pull_modes.soci_v1.enable ? trust.v1 : [],
      v2: pull_modes.soci_v2.enable ? trust.v2 : [],
    },
    images: snapshotter.servedImages(),
    policies: policies.decisions(),
    damages: stateDamages(),
    background,
    orders: replays.figures(),
    ...await storeStatus(store, () => setImmediate()),
  };
}
