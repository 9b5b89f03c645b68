/**
 * Permission lists: how a command's are put together from parts, and what is known of them before its
 * arguments are.
 * @module
 */

/** The kinds of permission, in the order in which they are shown. */
export const KINDS = ["read", "write", "net", "env", "run", "ffi"] as const;

/** A kind of permission. */
export type Kind = typeof KINDS[number];

/** What a command line says, as far as permissions depend on it. */
export interface Line {
  /** The last value of a flag that takes one. */
  readonly value: (flag: string) => string | undefined;
  /** All values of it. */
  readonly values: (flag: string) => readonly string[];
  /** Whether a flag without a value is there. */
  readonly has: (flag: string) => boolean;
  readonly positionals: readonly string[];
  /** A variable of the environment. */
  readonly env: (name: string) => string | undefined;
  /** `--root` or what stands for it, absolute and without links; of the daemon and the index tools. */
  readonly root: () => string;
  /** What this process puts behind the name of a file that is not finished. */
  readonly draftSuffix: string;
}

/** A list that the command line decides. */
export interface Computed {
  /** For people. */
  readonly says: string;
  readonly of: (line: Line) => readonly string[];
}

/** A list that is known before, or one that the line decides, or everything, and why that must be. */
export type List = readonly string[] | Computed | { readonly all: string };

/** Some of what a command needs. A kind that is not named is not granted. */
export type Part = Partial<Readonly<Record<Kind, List>>>;

/** Permissions as Deno takes them. */
export type Grants = Partial<Record<Kind, true | string[]>>;

/**
 * The permissions of a command.
 * @param line its command line; null: what is enough for any, which is everything where the line decides.
 */
export function grantsOf(parts: readonly Part[], line: Line | null): Grants {
  const all: Grants = {};
  for (const kind of KINDS) {
    const lists = parts.map((part) => part[kind])
      .filter((list) => list !== undefined)
      .map((list) => namesOf(list, line));
    const names: string[] = [];
    for (const list of lists) {
      if (list === true) all[kind] = true;
      else names.push(...list);
    }
    const list = [...new Set(names)].filter((name) => isName(kind, name));
    if (all[kind] !== true && list.length > 0) all[kind] = list;
  }
  return all;
}

/** An address or a name, with a port or without. `*.` stands for any name below. */
const HOST =
  /^(?:\*\.)?(?:\[[0-9a-f:.]+\]|[\w-]{1,63}(?:\.[\w-]{1,63})*\.?)(?::\d{1,5})?$/i;

/**
 * Whether a list can have it. Command lines and files may name what is no path and no host; Deno starts no Worker with
 * such a list, so it is left out, and the command tells what is wrong.
 */
export function isName(kind: Kind, name: string): boolean {
  if (kind !== "net") return name !== "";
  if (name.startsWith("unix:")) return name.startsWith("unix:/");
  return HOST.test(name) && URL.canParse(`http://${name.replace("*.", "")}`);
}

function namesOf(list: List, line: Line | null): true | readonly string[] {
  if ("of" in list) return line === null ? true : list.of(line);
  return "all" in list ? true : list;
}
