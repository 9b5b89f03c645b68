/** Changes of files: shown first, then made. @module */
import { UsageError } from "../command.ts";
import { diffOf } from "./diff.ts";
import type { Tree } from "./tree.ts";

/** What is to become of a file. */
export interface Change {
  readonly path: string;
  /** What is there; null: nothing. */
  readonly now: string | null;
  /** What will be there; null: nothing. */
  readonly then: string | null;
  readonly mode: number;
}

/** How far to go. */
export interface Consent {
  readonly "dry-run"?: boolean;
  readonly yes?: boolean;
}

/**
 * Shows what will change and asks, unless that was answered before.
 * @returns whether to go on
 * @throws UsageError where there is nobody to ask
 */
export function agreed(
  tree: Tree,
  changes: readonly Change[],
  consent: Consent,
): boolean {
  for (const { path, now, then } of changes) {
    console.log(diffOf(tree.at(path), now, then));
  }
  if (consent["dry-run"]) {
    console.log("Nothing was written.");
    return false;
  }
  if (consent.yes) return true;
  if (!Deno.stdin.isTerminal()) {
    throw new UsageError(
      "say --yes to write this; nobody can be asked where standard input is no terminal",
    );
  }
  const said = ask("Write this? [y/N] ");
  if (/^y(es)?$/i.test(said)) return true;
  console.log("Nothing was written.");
  return false;
}

function ask(question: string): string {
  Deno.stderr.writeSync(new TextEncoder().encode(question));
  const answer = new Uint8Array(64);
  const read = Deno.stdin.readSync(answer) ?? 0;
  return new TextDecoder().decode(answer.subarray(0, read)).trim();
}

/** Makes the changes, one after the other. @throws TreeError, FileError */
export async function make(
  tree: Tree,
  changes: readonly Change[],
): Promise<void> {
  for (const { path, then, mode } of changes) {
    if (then === null) await tree.remove(path);
    else await tree.write(path, then, mode);
  }
}
