import { ZtocError } from "../../formats/ztoc/mod.ts";
import { disposeSource, NotYetHere, type SpanSource } from "../spans/mod.ts";
import { untilAborted } from "./until_aborted.ts";

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
 */
export class LateZtoc {
  #fetch: ArrivedZtoc["whole"];
  #handlers: LateZtocHandlers | null = null;
  #coming: Promise<void> | null = null;
  readonly #tasks: Array<() => void> = [];
  #beganMs = -Infinity;
  #putting: Promise<void> = Promise.resolve();

  /** Asks for nothing yet. @param fetch as `ArrivedZtoc.whole`. */
  constructor(fetch: ArrivedZtoc["whole"]) {
    this.#fetch = fetch;
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
   * Resolves when the ztoc is here. After a failure the next call asks again.
   * @throws FalseHeadError, and what the fetch throws
   */
  whole(): Promise<void> {
    if (this.#fetch === null) return Promise.resolve();
    if (this.#coming === null) {
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
      await this.#putting;
      this.#fetch = null;
      for (const task of this.#tasks.splice(0)) task();
    } catch (error) {
      if (error instanceof FalseHeadError) {
        this.#handlers?.onFalse(error);
        this.#handlers = null;
      }
      throw error;
    }
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
