import type { Digest } from "../../formats/oci/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  type ChallengedLayer,
  type LayerReader,
  showsLayer,
  type SpanError,
  type SpanMap,
  type SpanSources,
} from "../spans/mod.ts";
import type { LayerFolder } from "../store/mod.ts";
import { LayerCheck } from "./layer_check.ts";
import type { LayerLife } from "./life.ts";
import type { Twin } from "./twins.ts";
import { untilAborted } from "./until_aborted.ts";

const log = logger("images");

/** How long a layer's sources may take to show a twin that it could be filled from, ms. */
const TWIN_MS = 30_000;

/** The parts of an open layer that its proof needs. All stay the layer's. */
export interface ProofParts {
  readonly slot: number;
  readonly layerDigest: string;
  readonly ztocDigest: string;
  /** `NO_PACK`, or the digest of its load order. */
  readonly pack: string;
  readonly folder: LayerFolder;
  readonly map: SpanMap;
  readonly reader: LayerReader;
  readonly sources: SpanSources;
  readonly life: LayerLife;
  /** Fires when the layer closes. */
  readonly closing: AbortSignal;
  /** How many more uncompressed bytes the cache may take. */
  readonly room: () => number;
  /** Fetches the rest of the layer. */
  readonly fill: () => Promise<void>;
  /** The whole tar was found to have its diff ID, for the first time. */
  readonly onProven: () => void;
  /** The layer is not what its ztoc and diff ID say; it serves nothing any more. */
  readonly onLie: (lie: SpanError) => void;
}

/** What is known about the bytes of an open layer beyond its ztoc. */
export interface Proof extends Twin {
  /** Diff ID that its images give it; null when none is known. */
  readonly diffId: Digest | null;
  /** The diff ID that this daemon has found the whole tar to have; null while it has not. */
  readonly provenDiffId: Digest | null;
  /**
   * Whether all of the layer's sources show that they have a layer. Never throws.
   * @param layer default: this one.
   */
  sourcesShow(timeoutMs: number, layer?: ChallengedLayer): Promise<boolean>;
  /**
   * Fetches the rest of the layer and compares all of it with its diff ID.
   * @returns whether it has that diff ID.
   * @throws as `OpenLayer.fill`, or the signal's reason
   */
  whenProven(signal: AbortSignal): Promise<boolean>;
}

/** Finds out whether a layer's sources have it, and whether the whole tar has its diff ID. */
export class LayerProof implements Proof {
  readonly #parts: ProofParts;
  readonly #check: LayerCheck;

  constructor(parts: ProofParts) {
    this.#parts = parts;
    const { layerDigest, folder, sources } = parts;
    this.#check = new LayerCheck({ layerDigest, folder, sources });
  }

  get slot(): number {
    return this.#parts.slot;
  }

  get layerDigest(): string {
    return this.#parts.layerDigest;
  }

  get ztocDigest(): string {
    return this.#parts.ztocDigest;
  }

  get pack(): string {
    return this.#parts.pack;
  }

  get diffId(): Digest | null {
    return this.#parts.folder.diffId;
  }

  get provenDiffId(): Digest | null {
    const { folder, life } = this.#parts;
    return folder.isChecked && life.state !== "condemned"
      ? folder.diffId
      : null;
  }

  get challenged(): ChallengedLayer {
    const { folder, map, reader, life } = this.#parts;
    return {
      spans: folder.spans,
      compression: folder.compression,
      // The descriptors of a closed layer may be another file's by now.
      has: (span) => life.isServed && map.has(span),
      compared: async (first, last) => {
        if (life.isServed) await reader.compared(first, last);
      },
      copy: (offset, into) => life.isServed && reader.copyChecked(offset, into),
    };
  }

  async sourcesShow(
    timeoutMs: number,
    layer: ChallengedLayer = this.challenged,
  ): Promise<boolean> {
    const { sources, closing, life } = this.#parts;
    const signal = AbortSignal.any([closing, AbortSignal.timeout(timeoutMs)]);
    const shown = await Promise.all(
      sources.all().map((source) =>
        showsLayer(layer, source, signal).catch(() => false)
      ),
    );
    return shown.length > 0 && shown.every(Boolean) && life.isServed;
  }

  async fillFrom(twin: Twin): Promise<void> {
    const { reader, life, closing, room } = this.#parts;
    if (reader.complete || life.state === "condemned") return;
    if (!await this.sourcesShow(TWIN_MS, twin.challenged)) return;
    await reader.fillFrom(twin.challenged, closing, room);
  }

  async borrowFrom(twin: Twin): Promise<void> {
    const { reader, life } = this.#parts;
    if (reader.complete || life.state === "condemned") return;
    if (!await this.sourcesShow(TWIN_MS, twin.challenged)) return;
    reader.borrowFrom(twin.challenged);
  }

  async whenProven(signal: AbortSignal): Promise<boolean> {
    const { reader, fill } = this.#parts;
    if (this.provenDiffId === null) {
      await untilAborted(fill(), signal);
      if (reader.complete) {
        await untilAborted(this.checkWhole("at once"), signal);
      }
    }
    return this.provenDiffId !== null;
  }

  /**
   * Compares the complete layer with its diff ID, once.
   * @param when `later`: a container may be starting, so the check waits a while.
   */
  async checkWhole(when: "at once" | "later"): Promise<void> {
    const { folder, reader, closing, layerDigest } = this.#parts;
    const wasChecked = folder.isChecked;
    try {
      const lie = await this.#check.run(reader, closing, when);
      if (closing.aborted) return;
      if (lie !== null) {
        reader.condemn(lie); // first, because writing it down depends on the disk
        return this.#parts.onLie(lie);
      }
      if (!wasChecked && folder.isChecked) this.#parts.onProven();
    } catch (error) {
      if (closing.aborted) return;
      log.warn("layer could not be checked as a whole", {
        layer: layerDigest,
        error: String(error),
      });
    }
  }
}
