/** What the module rules know about a module. @module */

/** How a module reaches another: `worker` is `new Worker(new URL("./x.ts", import.meta.url))`. */
export type ImportKind = "import" | "export" | "dynamic" | "worker";

/** One edge of the module graph. */
export interface Import {
  readonly kind: ImportKind;
  /** As written: `../os/mod.ts`, `node:zlib`, `valibot`. */
  readonly specifier: string;
  /** The imported file, from the repository's root; `null` for a package or a builtin. */
  readonly target: string | null;
  /** The imported names; `null` if everything is imported (`import *`, `import()`, a Worker). */
  readonly names: readonly string[] | null;
  /** Whether it names types alone, and loads nothing. */
  readonly isType: boolean;
  readonly line: number;
}

/** A name a module exports. */
export interface Export {
  /** The name others import. */
  readonly name: string;
  /** Whether it is a type or an interface, which do not exist at run time. */
  readonly isType: boolean;
  /** For a re-export: the file it comes from, from the repository's root. */
  readonly from: string | null;
  /** The local name; for a re-export, the name in `from`. */
  readonly local: string;
  /** Identifiers in its public shape: parameter, result, property and base types. */
  readonly shape: ReadonlySet<string>;
  /** How often the module itself uses it. */
  readonly ownUses: number;
  readonly line: number;
}

/** The facts about a module. */
export interface Module {
  /** From the repository's root: `lib/host/os/mod.ts`. */
  readonly path: string;
  readonly lines: number;
  /** The doc comment before its first statement, without stars; empty if there is none. */
  readonly opening: string;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  /** Globals it uses that reach outside the program, such as `Deno.open`, `Date.now`, `fetch`. */
  readonly reaches: readonly { readonly what: string; readonly line: number }[];
  /** Lines that use `import.meta.url` for anything but starting a Worker. */
  readonly ownAddress: readonly number[];
  /** Lines that start a Worker in another way than `ImportKind` allows. */
  readonly strayWorkers: readonly number[];
}
