/**
 * What the process that starts a command in a Worker finds out for it, because the Worker may not: it may not read
 * the folders above a root, and a file beside its output must have a name that its permissions name.
 * @module
 */

/** What a command's Worker is given. */
export interface Given {
  /** The root that `--root` or the environment means; null where it means none. */
  readonly root: string | null;
  readonly draftSuffix: string;
  /** Whether registries are asked by another isolate, which has the network; this one has none then. */
  readonly fetches: boolean;
  /** The only hosts that this isolate asks, where it has the network and no configuration; empty: any. */
  readonly hosts: readonly string[];
}

let given: Given = {
  root: null,
  draftSuffix: `.${crypto.randomUUID().slice(0, 8)}.part`,
  fetches: false,
  hosts: [],
};

/** Takes what the process found out. */
export function takeGiven(it: Partial<Given>): void {
  given = { ...given, ...it };
}

/** The root that was found out; null where this code has to do that itself. */
export function givenRoot(): string | null {
  return given.root;
}

/** What stands behind the name of a file that is not finished. */
export function draftSuffix(): string {
  return given.draftSuffix;
}

/** Whether this isolate has no network of its own. */
export function fetchesElsewhere(): boolean {
  return given.fetches;
}

/** The only hosts that this isolate asks; empty: any. */
export function givenHosts(): readonly string[] {
  return given.hosts;
}
