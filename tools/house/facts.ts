/** What the rules of the house know of a module. @module */

/** How a module reaches another: `worker` is `new Worker(new URL("./x.ts", import.meta.url))`. */
export type ImportKind = "import" | "export" | "dynamic" | "worker";

/** One edge of the module graph. */
export interface Import {
  readonly kind: ImportKind;
  /** As written: `../os/mod.ts`, `node:zlib`, `valibot`. */
  readonly specifier: string;
  /** The file it means, from the repository's root; `null` for a package or a builtin. */
  readonly target: string | null;
  /** What is taken by name; `null` where all of it is (`import *`, `import()`, a Worker). */
  readonly names: readonly string[] | null;
  readonly line: number;
}

/** A name a module exports. */
export interface Export {
  /** The name others import. */
  readonly name: string;
  /** A type or an interface: gone when the program runs. */
  readonly isType: boolean;
  /** Where it is exported from, for a re-export: a file from the repository's root. */
  readonly from: string | null;
  /** The module's own name for it; under `from`, that module's name. */
  readonly local: string;
  /** Identifiers in its public shape: parameter, result, property and base types. */
  readonly shape: ReadonlySet<string>;
  /** How often the module itself mentions it beside its declaration. */
  readonly ownUses: number;
  readonly line: number;
}

/** What the rules know of a module. */
export interface Module {
  /** From the repository's root: `lib/host/os/mod.ts`. */
  readonly path: string;
  readonly lines: number;
  /** The doc comment before its first statement, without stars; empty where there is none. */
  readonly opening: string;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  /** Globals it touches that reach outside the program, as `Deno.open`, `Date.now`, `fetch`. */
  readonly reaches: readonly { readonly what: string; readonly line: number }[];
  /** Lines that use `import.meta.url` for anything but starting a Worker. */
  readonly ownAddress: readonly number[];
  /** Lines that start a Worker in any other way than `ImportKind` says. */
  readonly strayWorkers: readonly number[];
}
