import { namesIn } from "../../../lib/host/files/mod.ts";

/** Files of layers that a daemon has not done. Made-up ones, by which it compiles its code while nobody pulls, are none. */
export function undone(root: string): string[] {
  return namesIn(`${root}/ingest`)
    .filter((name) => !name.startsWith("made-up-"));
}
