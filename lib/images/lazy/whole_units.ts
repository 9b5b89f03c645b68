import { availableParallelism } from "node:os";
import {
  comingLayer,
  type IndexerPool,
  IndexingError,
} from "../../layers/builder/mod.ts";
import {
  CheckpointsError,
  inflateUnits,
  type PlannedUnits,
} from "../../layers/whole/mod.ts";
import { BUILD_TOOL } from "../../formats/ztoc/mod.ts";
import {
  type RegistryClient,
  RegistryError,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { type GatedRequest, rangeInTurn } from "./gated_range.ts";
import { diskRoom } from "./source.ts";
import type { KnownUnits } from "./whole_known.ts";
import type { WholeLayerRequest } from "./whole_request.ts";
import type { WholeGates } from "./whole_limits.ts";

const log = logger("images");

/** What takes a layer by its units. */
export interface UnitsTaken {
  readonly request: WholeLayerRequest;
  readonly known: KnownUnits;
  readonly client: RegistryClient;
  readonly gates: WholeGates;
  readonly writers: IndexerPool;
  /** Of the files. */
  readonly folder: string;
  /** A new file in it, for the tar. */
  readonly data: string;
  /** A new file in it, for the ztoc that tells where the layer can be entered. */
  readonly ztoc: string;
  /** Told of bytes that came. */
  readonly onBytes: (bytes: number) => void;
  /** Told when all of the tar is there, and is yet to be indexed: about how many bytes the list of its files has. */
  readonly onInflated: (listBytes: number) => void;
}

/**
 * Takes a layer on all cores, if it is known where it can be entered: each of its units is one request, and is inflated
 * by whichever core is free. What comes is in no file before it is inflated, and waits for that; so no more is asked for
 * than cores can take. Nothing of the ztoc is believed: blob digest and diff ID are compared as ever.
 * @returns the layer's own ztoc; null where nothing is known, or it was of no use. The file is of none then, either.
 * @throws RegistryError, the signal's reason
 */
export async function takeByUnits(
  taken: UnitsTaken,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const { request: { reference, layer }, known, ztoc } = taken;
  const units = await known(ztoc, gated(taken));
  if (units === null) return null;
  try {
    return await inflated(taken, units);
  } catch (error) {
    if (!isOfUnits(error)) throw error;
    log.warn("checkpoints of an index are of no use, a layer takes longer", {
      image: reference.toString(),
      layer: layer.digest,
      error: String(error),
    });
    return null;
  }
}

function gated({ gates, request: { requester } }: UnitsTaken): GatedRequest {
  return (bytes, work) => gates.request(requester, bytes, work);
}

async function inflated(
  taken: UnitsTaken,
  units: PlannedUnits,
): Promise<Uint8Array<ArrayBuffer>> {
  const { request, client, writers, folder, data, ztoc } = taken;
  const { reference, layer, diffId, spanSizeBytes } = request;
  await Deno.writeFile(data, new Uint8Array(0), { mode: 0o600 });
  const files = { data, ztoc };
  const coming = comingLayer(units, files);
  const digest = inflateUnits({
    ...{ units, files, folder },
    workers: availableParallelism(),
    fetch: async (start, end, into, signal) => {
      await rangeInTurn(gated(taken), client, {
        ...{ repository: reference, digest: layer.digest },
        ...{ start, end, into, signal },
      });
      taken.onBytes(into.length);
    },
    look: () => {
      if (diskRoom(folder) > 0) return;
      throw new CheckpointsError("the disk is nearly full");
    },
    signal: request.signal,
  }, coming);
  digest.then(() => taken.onInflated(units.listBytes), () => {});
  const indexed = writers.indexUnits(coming, {
    ...{ compression: "gzip", buildTool: BUILD_TOOL, spanSizeBytes },
  });
  const [, made] = await Promise.allSettled([digest, indexed]);
  if (made.status === "rejected") throw made.reason;
  const found = await digest;
  const built = made.value!; // null only where that threw
  if (found !== layer.digest || built.diffId !== diffId) {
    throw new CheckpointsError(`they give ${built.diffId} of ${found}`);
  }
  await Deno.truncate(data, built.uncompressedSizeBytes);
  return built.ztoc;
}

/** Whether an error says nothing of the layer, which may be had without its units. */
function isOfUnits(error: unknown): boolean {
  return error instanceof CheckpointsError || error instanceof IndexingError ||
    // Its registry gives no parts.
    error instanceof RegistryError && error.kind === "range";
}
