import type { Steps } from "./life.ts";

/** The states of the mounts, all together. */
export type MountsState =
  /** They are mounted but not answered: every access waits. */
  | "silent"
  /** Workers answer the kernel, and are replaced when they crash. */
  | "served"
  /** They belong to a successor. Workers answer what they can until this process ends. */
  | "left"
  /** They were left, and this process serves them anew: nothing here answers any more. */
  | "retired"
  /** They are unmounted. */
  | "closed";

/** What happens to the mounts. */
export type MountsStep = "serve" | "leave" | "retire" | "close";

/**
 * The life of the mounts.
 *
 * ```text
 *        serve           leave       retire
 * silent ─────► served ─────────► left ─────► retired
 *   │ └───────────────leave────────▲
 *   │             │ close
 *   └────close────┴─────► closed
 * ```
 *
 * Mounts that were left are not closed by this process, and closed mounts cannot be left: these steps
 * change nothing.
 */
export const MOUNTS_STEPS: Steps<MountsState, MountsStep> = {
  silent: { serve: "served", leave: "left", close: "closed" },
  served: { leave: "left", close: "closed" },
  left: { leave: "left", retire: "retired", close: "left" },
  retired: { leave: "retired", close: "retired" },
  closed: { leave: "closed", close: "closed" },
};
