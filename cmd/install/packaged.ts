/** The files of `packaging/`, which are beside the program's modules in a bundle and in the binary. @module */
import { readTextIfThere } from "../../lib/host/files/mod.ts";
import { OWN_FILES } from "../own_files.ts";
import type { UNITS } from "./places.ts";

/** A file's text. */
export function packaged(name: typeof UNITS[number] | "config.toml"): string {
  return readTextIfThere(`${OWN_FILES}/${name}`) ??
    Deno.readTextFileSync(`${OWN_FILES}/packaging/${name}`);
}

/** A unit that starts the program at `path`. */
export function unitFor(name: typeof UNITS[number], path: string): string {
  return packaged(name).replace(/^ExecStart=\S+/m, `ExecStart=${path}`);
}

/** Where this program is: the binary, or the script of a bundle; null when it runs from sources. */
export function ownProgram(): string | null {
  if (Deno.build.standalone) return Deno.execPath();
  const script = `${OWN_FILES}/soci-deno`;
  return readTextIfThere(script) === null ? null : script;
}
