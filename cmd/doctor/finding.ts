/** One thing that the doctor looked at. */
export interface Finding {
  /** What was looked at, as one word: `kernel`, `containerd`. */
  readonly check: string;
  /** `warn`: it works, but less well. */
  readonly level: "ok" | "warn" | "fail";
  /** What was found, as one line. */
  readonly text: string;
  /** What to do about it, as one line; null where nothing is to be done. */
  readonly fix: string | null;
}

/** All is well. */
export function ok(check: string, text: string): Finding {
  return { check, level: "ok", text, fix: null };
}
