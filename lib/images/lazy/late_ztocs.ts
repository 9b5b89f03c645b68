import { type OpenLayer, ZtocRoomError } from "../../layers/serving/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { FairSemaphore } from "./fair_semaphore.ts";

const log = logger("images");

/** A start has the line for so long after its pack has come, ms. */
const AFTER_MS = 3_000;
/** Between two tries: twice as long each time, up to a minute, ms. */
const FIRST_TRY_MS = 1_000;
const LAST_TRY_MS = 60_000;
/** How many are brought at a time. */
const AT_ONCE = 2;

/**
 * Brings the rest of ztocs by whose heads layers were opened, once the start does not need the line, unless
 * a reader has asked for it before.
 */
export class LateZtocs {
  readonly #turns = new FairSemaphore(AT_ONCE);

  /** Brings one. @param settled resolves when the image's pack has come, or will not. */
  add(from: string, layer: OpenLayer, settled: Promise<void>): void {
    if (layer.late.isHere) return;
    this.#bring(from, layer, settled).catch((error) =>
      log.error("a ztoc is not brought any more", {
        layer: layer.layerDigest,
        error: String(error),
      })
    );
  }

  async #bring(
    from: string,
    layer: OpenLayer,
    settled: Promise<void>,
  ): Promise<void> {
    await settled;
    await pause(AFTER_MS);
    for (
      let waitMs = FIRST_TRY_MS;
      layer.isServed && layer.state !== "condemned";
      waitMs = Math.min(2 * waitMs, LAST_TRY_MS)
    ) {
      try {
        return await this.#turns.run(from, 1, () => layer.late.whole());
      } catch (error) {
        if (!(error instanceof ZtocRoomError)) { // else it was told
          log.warn("the rest of a ztoc did not come, it is asked for again", {
            layer: layer.layerDigest,
            error: String(error),
          });
        }
      }
      await pause(waitMs);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, ms)));
}
