/** What the main isolate and an inflate Worker say to each other. @module */
import type { SpanHeaders } from "./headers.ts";

/** One span to check, inflate and write. */
export interface InflateTask {
  readonly id: number;
  /** Data file; shared by all threads of the process, open until the answer is here. */
  readonly fd: number;
  /** The span's bytes, transferred. */
  readonly compressed: Uint8Array<ArrayBuffer>;
  readonly digest: string;
  /** null: the span is not compressed. The window is transferred too. */
  readonly checkpoint:
    | { readonly bits: number; readonly window: Uint8Array<ArrayBuffer> }
    | null;
  /** Uncompressed bytes of the span. */
  readonly size: number;
  /** Where they go in the data file, and where they are in the tar. */
  readonly offset: number;
  /** The tar headers it must hold; null: not checked. Open until the answer is here. */
  readonly headers: SpanHeaders | null;
}

/** What became of a task. */
export type InflateOutcome =
  /** The bytes are in the data file. */
  | { readonly kind: "written" }
  /** They are right but could not be written: here they are. */
  | {
    readonly kind: "unwritten";
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly detail: string;
  }
  /** They are not to be used. */
  | {
    readonly kind: "digest" | "inflate" | "header";
    readonly detail: string;
  };

/** The answer to one task. */
export interface InflateResult {
  readonly id: number;
  readonly outcome: InflateOutcome;
}
