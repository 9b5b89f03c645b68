import type { Steps } from "./life.ts";

/** The states of the mounts, all together. */
export type MountsState =
  /** They are mounted but not answered: every access waits. */
  | "silent"
  /** Workers answer the kernel, and are replaced when they crash. */
  | "served"
  /** They belong to a successor. Workers answer what they can until this process ends. */
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
 * Mounts that were left are not closed by this process, and closed mounts cannot be left: these steps
 * change nothing.
 */
export const MOUNTS_STEPS: Steps<MountsState, MountsStep> = {
  silent: { serve: "served", leave: "left", close: "closed" },
  served: { leave: "left", close: "closed" },
  left: { leave: "left", close: "left" },
  closed: { leave: "closed", close: "closed" },
};
