/** `--load-order`: load orders that a converted image pins. @module */
import { formatPlatform } from "../../lib/formats/oci/mod.ts";
import { layerOf } from "../../lib/formats/soci/mod.ts";
import type {
  BuiltImage,
  PinnedOrder,
} from "../../lib/indexes/indexing/mod.ts";
import { makeOrder, putOrder } from "../../lib/images/order/mod.ts";
import type {
  ArtifactSink,
  LayerSource,
} from "../../lib/remote/content/mod.ts";
import { UsageError } from "../command.ts";
import { readRecording } from "./common.ts";

/** For `--help`. */
export const PIN_HELP =
  `  --load-order FILE       make the load order of this recording, and pin it: the image's digest then
                          covers it (may be repeated, for several workloads)`;

const READ_AHEAD_BYTES = 32 * 1024;
const MAX_BYTES = 256 * 2 ** 20;

/** Where layers and ztocs are read, and where orders go. */
interface PinPlaces {
  readonly source: LayerSource;
  readonly sink: ArtifactSink;
  readonly signal: AbortSignal;
}

/**
 * Makes the load orders of recordings for the images they are of, and puts them.
 * @throws UsageError where two are of one workload, or one is of no image that was indexed.
 */
export async function pinOrders(
  files: readonly string[],
  built: readonly BuiltImage[],
  { source, sink, signal }: PinPlaces,
): Promise<PinnedOrder[]> {
  const pinned: PinnedOrder[] = [];
  for (const file of files) {
    const recording = await readRecording(file);
    const { workload } = recording;
    const own = built.find(({ image: { platform } }) =>
      recording.platform === "" || platform === null ||
      formatPlatform(platform) === recording.platform
    );
    if (own === undefined) {
      throw new UsageError(
        `--load-order ${file}: no image of ${recording.platform} is converted`,
      );
    }
    if (pinned.some((one) => one.built === own && one.workload === workload)) {
      throw new UsageError(
        `--load-order ${file}: another one is of workload ${workload} too; merge them, or name one anew with \`order merge --workload\``,
      );
    }
    const { platform } = own.image;
    const made = await makeOrder({
      recording: {
        ...recording,
        platform: platform === null ? "" : formatPlatform(platform),
      },
      layers: own.image.manifest.layers,
      ztocOf: (layer) =>
        own.ztocs.find((ztoc) => layerOf(ztoc) === layer) ?? null,
      source,
      pack: "made",
      readAheadBytes: READ_AHEAD_BYTES,
      maxBytes: MAX_BYTES,
      signal,
      onSpan: () => {},
    });
    await putOrder(made, sink, signal);
    pinned.push({ built: own, workload, descriptor: made.descriptor });
  }
  return pinned;
}
