import type { Digest } from "../../formats/oci/mod.ts";
import type { Recording } from "../../formats/order/mod.ts";
import { CtrContainer } from "./ctr_container.ts";
import { recordingOf } from "./recording_of.ts";
import { LogWatch, type ReadySigns, untilReady } from "./until.ts";

/** Where Linux drops its caches: 1 drops the pages of files, of which no process has changed any. */
const DROP_CACHES = "/proc/sys/vm/drop_caches";

/** What is recorded, and how it is run. */
export interface RecordRequest {
  /** Of the running daemon. */
  readonly controlSocket: string;
  /** As it is named in containerd. */
  readonly image: string;
  /** Which workload of the image this is. */
  readonly workload: string;
  /** `os/arch[/variant]`. */
  readonly platform: string;
  /** Of the image. */
  readonly layers: readonly Digest[];
  /** How a container is run; null: the user runs it. */
  readonly run: {
    /** `ctr` and what says where containerd is. */
    readonly ctr: readonly string[];
    /** Its name in containerd's configuration. */
    readonly snapshotter: string;
    /** Further flags of `ctr run`. */
    readonly flags: readonly string[];
    /** The command; empty: the image's own. */
    readonly command: readonly string[];
  } | null;
  /** When the start is over. The end of the container is always a sign. */
  readonly until: ReadySigns;
  /** Whether the kernel's page cache is dropped before: what it has is not seen. */
  readonly pageCache: "dropped" | "kept";
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told what happens, a line each. */
  readonly say: (line: string) => void;
}

/** What came of it. */
export interface RecordResult {
  /** What was read. */
  readonly recording: Recording;
  /** Reads that were made and are not in it. */
  readonly lost: number;
  /** Layers of the image that the daemon does not serve, so that nothing of them was seen. */
  readonly unserved: readonly Digest[];
}

/**
 * Starts a workload and records what it reads until it is ready.
 * @throws TakeoverError; Error when no daemon runs, it serves no layer of the image, or the container
 * fails before it is ready.
 */
export async function recordStart(
  request: RecordRequest,
): Promise<RecordResult> {
  const { image, workload, platform, layers, signal, say } = request;
  // Loaded late: commands that read recordings enter this room too, and may not open libc.
  const { askRecording } = await import("../../host/handover/mod.ts");
  using daemon = await askRecording(request.controlSocket, layers);
  if (daemon === null) {
    throw new Error(
      `no daemon runs there (${request.controlSocket}): say its --root`,
    );
  }
  const served = new Set(daemon.served);
  const unserved = layers.filter((layer) => !served.has(layer));
  if (served.size === 0) {
    throw new Error(
      `the daemon serves no layer of ${image}: it has no index that may be used, or was not pulled with this snapshotter`,
    );
  }
  // After the kernel's read-ahead was turned off: what it had read ahead is dropped too.
  if (request.pageCache === "dropped") await dropPageCache(say);
  const startMs = performance.timeOrigin + performance.now();
  const log = new LogWatch(request.until.log);
  await using container = request.run === null
    ? null
    : CtrContainer.start({ image, ...request.run }, log);
  if (container === null) say("recording; start the workload now");
  const ready = untilReady(
    request.until,
    () => daemon.progress(),
    log,
    signal,
  );
  const sign =
    await (container === null ? ready : Promise.race([ready, container.ended]));
  say(`ready: ${sign}`);
  const { lost } = await daemon.progress();
  const reads = await daemon.end();
  const recording = recordingOf({
    ...{ image, workload, platform, reads, startMs },
    layers: daemon.served as readonly Digest[],
  });
  return { recording, lost, unserved };
}

async function dropPageCache(say: (line: string) => void): Promise<void> {
  const { OsError, writeText } = await import("../../host/os/mod.ts");
  try {
    writeText(DROP_CACHES, "1");
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    say(
      `the page cache cannot be dropped, so pages that are in it are not seen: ${error}`,
    );
  }
}
