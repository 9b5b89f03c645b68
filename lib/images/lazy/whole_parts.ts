import type { KeptBlobs } from "../../layers/store/mod.ts";
import type { Indexers } from "../../layers/builder/mod.ts";
import type { RegistryClient } from "../../remote/registry/mod.ts";
import type { LineSpeeds } from "./line_speeds.ts";
import type { WholeLimits } from "./whole_limits.ts";
import type { Decompressors } from "./whole_options.ts";
import type { WholeProgress } from "./whole_progress.ts";

/** What layers are taken whole with. */
export interface WholeParts {
  readonly client: RegistryClient;
  /** For files that are not done, on the disk of the layers. */
  readonly folder: string;
  /** Of their names. Default: `layer`. */
  readonly filePrefix?: string;
  /** Those of it that outlive us. */
  readonly kept: KeptBlobs;
  readonly limits: WholeLimits;
  readonly decompressors: Decompressors;
  readonly progress: WholeProgress;
  readonly speeds: LineSpeeds;
  /** Told when a large layer is nearly done, and what its ztoc will have at least, about. Default: nobody is. */
  readonly expect?: (ztocBytes: number) => void;
  /** Workers that stay the caller's. Default: ones of its own, when they are needed. */
  readonly writers?: Indexers;
}
