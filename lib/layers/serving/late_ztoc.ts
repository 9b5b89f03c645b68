import { ZtocError } from "../../formats/ztoc/mod.ts";
import { FileError } from "../../host/files/mod.ts";
import { OsError } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { disposeSource, NotYetHere, type SpanSource } from "../spans/mod.ts";
import { ZtocRoomError } from "./ztoc_room.ts";
import { untilAborted } from "./until_aborted.ts";

const log = logger("images");
/** What the disk did not take is not asked for again for so long, ms. */
const REFUSED_MS = 5_000;

/** A ztoc as it comes: whole, or its head first. */
export interface ArrivedZtoc {
  /** The ztoc, whose digest was checked; or its head, which the image vouches for. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /**
   * Null: it is the ztoc. Else fetches the ztoc, whose digest was checked.
   * @throws FalseHeadError when the head is not its; anything else may pass
   */
  readonly whole: (() => Promise<Uint8Array<ArrayBuffer>>) | null;
}

/** What a layer was opened by is not the head of its ztoc. */
export class FalseHeadError extends Error {
  static {
    this.prototype.name = "FalseHeadError";
  }
}

/** A ztoc that cannot be used: its head promised more. */
function asFalseHead(error: unknown): never {
  if (!(error instanceof ZtocError)) throw error;
  throw new FalseHeadError(`its ztoc cannot be used: ${error.message}`, {
    cause: error,
  });
}

/** Where it is put. */
export interface LateZtocPlace {
  /** Whose ztoc it is. */
  readonly layerDigest: string;
  /** Looks at the disk. @throws ZtocRoomError where it has no room */
  readonly look: () => void;
}

/** Whether it is here; `no room`: the disk did not take it, and it is not asked for meanwhile. */
export type LateZtocState = "here" | "on the way" | "no room";

/** What is done when the ztoc is here. */
export interface LateZtocHandlers {
  /** It is here, and is what the head said. Its buffer is the handler's. @throws ZtocError when it is of no use */
  readonly onWhole: (ztoc: Uint8Array<ArrayBuffer>) => Promise<void>;
  /** The layer shows files that its ztoc does not list. Called once. */
  readonly onFalse: (error: FalseHeadError) => void;
}

/**
 * The rest of a ztoc by whose head a layer was opened. It comes when somebody asks for it, or for bytes of
 * the layer's sources: those cannot be used before. Most layers have their ztoc from the beginning.
 *
 * A disk that has no room for it is told of once, and nothing is asked for before there is.
 */
export class LateZtoc {
  #fetch: ArrivedZtoc["whole"];
  #handlers: LateZtocHandlers | null = null;
  #coming: Promise<void> | null = null;
  readonly #tasks: Array<() => void> = [];
  #beganMs = -Infinity;
  readonly #place: LateZtocPlace | null;
  #refusal: { readonly error: ZtocRoomError; readonly untilMs: number } | null =
    null;
  #putting: Promise<void> = Promise.resolve();

  /** Asks for nothing yet. @param fetch as `ArrivedZtoc.whole`. @param place default: there is room. */
  constructor(fetch: ArrivedZtoc["whole"], place?: LateZtocPlace) {
    this.#fetch = fetch;
    this.#place = place ?? null;
  }

  /** Where it is. */
  get state(): LateZtocState {
    if (this.isHere) return "here";
    return this.#refusal === null ? "on the way" : "no room";
  }

  /** Whether the ztoc is here. */
  get isHere(): boolean {
    return this.#fetch === null;
  }

  /** Who is told. Before anything is asked for. */
  begin(handlers: LateZtocHandlers): void {
    this.#handlers = handlers;
  }

  /** Runs a task as soon as the ztoc is here; never, where the layer ends before. */
  after(task: () => void): void {
    if (this.isHere) task();
    else this.#tasks.push(task);
  }

  /**
   * Resolves when the ztoc is here. After a failure the next call asks again, if there is room.
   * @throws ZtocRoomError, FalseHeadError, and what the fetch throws
   */
  whole(): Promise<void> {
    if (this.#fetch === null) return Promise.resolve();
    if (this.#coming === null) {
      const refusal = this.#refused();
      if (refusal !== null) return Promise.reject(refusal);
      this.#beganMs = performance.now();
      this.#coming = this.#ask(this.#fetch).finally(() => this.#coming = null);
    }
    return this.#coming;
  }

  async #ask(fetch: () => Promise<Uint8Array<ArrayBuffer>>): Promise<void> {
    try {
      const bytes = await fetch();
      if (this.#handlers === null) return; // the layer has ended
      this.#putting = this.#handlers.onWhole(bytes).catch(asFalseHead);
      await this.#putting.catch((error) => this.#asRefusal(error));
      this.#fetch = null;
      this.#tellRoom();
      for (const task of this.#tasks.splice(0)) task();
    } catch (error) {
      if (error instanceof FalseHeadError) {
        this.#handlers?.onFalse(error);
        this.#handlers = null;
      }
      throw error;
    }
  }

  /** Why nothing is to be asked for now. */
  #refused(): ZtocRoomError | null {
    const known = this.#refusal;
    if (known !== null && performance.now() < known.untilMs) return known.error;
    try {
      this.#place?.look();
      return null;
    } catch (error) {
      if (!(error instanceof ZtocRoomError)) return null; // it is tried
      this.#refuse(error, 0); // looking costs nothing
      return error;
    }
  }

  /** The disk did not take it, whatever it said before. */
  #asRefusal(cause: unknown): never {
    if (!(cause instanceof FileError || cause instanceof OsError)) throw cause;
    const error = new ZtocRoomError(`it cannot be stored: ${cause.message}`, {
      cause,
    });
    this.#refuse(error, REFUSED_MS);
    throw error;
  }

  #refuse(error: ZtocRoomError, restMs: number): void {
    if (this.#refusal === null && this.#place !== null) {
      log.error(
        "the rest of a ztoc has no place on the disk, reads of its layer wait until it has",
        { layer: this.#place.layerDigest, error: error.message },
      );
    }
    this.#refusal = { error, untilMs: performance.now() + restMs };
  }

  #tellRoom(): void {
    if (this.#refusal === null) return;
    this.#refusal = null;
    log.info("the rest of a ztoc has its place", {
      layer: this.#place?.layerDigest,
    });
  }

  /** The layer ends: nobody is told any more. */
  end(): void {
    this.#handlers = null;
    this.#tasks.length = 0;
  }

  /** Resolves when a ztoc that is here is put where it belongs, or could not be. */
  async settled(): Promise<void> {
    await this.#putting.catch(() => {}); // whoever asked for it is told
  }

  /** A source that gives nothing before the ztoc is here. Owns the other. */
  gate(source: SpanSource): SpanSource {
    if (this.isHere) return source;
    const { host, repository } = source;
    return {
      host,
      ...(repository !== undefined && { repository }),
      fetch: (...request: Parameters<SpanSource["fetch"]>) => {
        if (this.isHere) return source.fetch(...request);
        const arrived = (signal: AbortSignal) =>
          untilAborted(this.whole(), signal);
        return Promise.reject(new NotYetHere(arrived, () => this.#beganMs));
      },
      [Symbol.dispose]: () => disposeSource(source),
    } as SpanSource & Disposable;
  }
}
