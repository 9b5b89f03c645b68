import type { Steps } from "./life.ts";

/** Where the mounts are in their life, all together. */
export type MountsState =
  /** They are mounted, and nobody answers: whoever touches them waits. */
  | "silent"
  /** Workers answer the kernel, and are replaced when they break down. */
  | "served"
  /** They are a successor's. Workers answer what they can until this process ends. */
  | "left"
  /** They are unmounted. */
  | "closed";

/** What happens to the mounts. */
export type MountsStep = "serve" | "leave" | "close";

/**
 * The life of the mounts.
 *
 * ```text
 *        serve           leave
 * silent ─────► served ─────────► left
 *   │ └───────────────leave────────▲
 *   │             │ close
 *   └────close────┴─────► closed
 * ```
 *
 * What is left is not ours to close, and what is closed cannot be left: those steps change nothing.
 */
export const MOUNTS_STEPS: Steps<MountsState, MountsStep> = {
  silent: { serve: "served", leave: "left", close: "closed" },
  served: { leave: "left", close: "closed" },
  left: { leave: "left", close: "left" },
  closed: { leave: "closed", close: "closed" },
};
