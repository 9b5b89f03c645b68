/** What the main isolate and an inflate Worker say to each other. @module */

/** One span to check, inflate and write. */
export interface InflateTask {
  readonly id: number;
  /** Data file; shared by all threads of the process. */
  readonly fd: number;
  /** The span's bytes, transferred. */
  readonly compressed: Uint8Array<ArrayBuffer>;
  readonly digest: string;
  /** null: the span is not compressed. */
  readonly checkpoint:
    | { readonly bits: number; readonly window: Uint8Array }
    | null;
  /** Uncompressed bytes of the span. */
  readonly size: number;
  /** Where they go in the data file. */
  readonly offset: number;
}

/** The answer to one task. */
export interface InflateResult {
  readonly id: number;
  /** null: the bytes are in the data file. */
  readonly failure:
    | { readonly kind: "digest" | "inflate" | "disk"; readonly detail: string }
    | null;
}
