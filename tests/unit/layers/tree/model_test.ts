import fc from "fast-check";
import assert from "node:assert/strict";
import {
  type LayerTree,
  TreeCompileError,
} from "../../../../lib/layers/tree/mod.ts";
import { type EntryFacts, namesIn, treeOf } from "./support.ts";

/** Something with names in the model; `id` is the size its entry was given, to tell files apart. */
interface Thing {
  kind: "dir" | "file" | "whiteout";
  id: number;
  opaque: boolean;
}

/** Unpacking in its shortest form: paths in a map, one entry after another. */
class Model {
  readonly paths = new Map<string, Thing>();

  /** False when the entry has to be refused. */
  add({ name, type, linkname, size }: EntryFacts): boolean {
    const parts = String(name).split("/").filter((part) => part !== "");
    const last = parts.pop() ?? "";
    for (let depth = 1; depth <= parts.length; depth++) {
      const parent = parts.slice(0, depth).join("/");
      if (this.paths.get(parent)?.kind !== "dir") this.#put(parent, "dir", 0);
    }
    const folder = parts.join("/");
    const path = (base: string) => folder === "" ? base : `${folder}/${base}`;
    if (last === ".wh..wh..opq") {
      const directory = this.paths.get(folder);
      if (directory !== undefined) directory.opaque = true;
    } else if (last.startsWith(".wh.")) {
      const hidden = path(last.slice(4));
      if (!this.paths.has(hidden)) this.#put(hidden, "whiteout", 0);
    } else if (type === "hardlink") {
      const target = this.paths.get(String(linkname));
      if (target === undefined || target.kind === "dir") return false;
      this.#remove(path(last));
      this.paths.set(path(last), target);
    } else if (type === "dir") {
      if (this.paths.get(path(last))?.kind !== "dir") {
        this.#put(path(last), "dir", 0);
      }
    } else this.#put(path(last), "file", size ?? 0);
    return true;
  }

  #put(path: string, kind: Thing["kind"], id: number): void {
    this.#remove(path);
    this.paths.set(path, { kind, id, opaque: false });
  }

  #remove(path: string): void {
    for (const known of [...this.paths.keys()]) {
      if (known === path || known.startsWith(`${path}/`)) {
        this.paths.delete(known);
      }
    }
  }

  /** `path → kind, id, names of the same thing`. */
  facts(): Record<string, string> {
    return Object.fromEntries(
      [...this.paths].map(([path, thing]) => {
        const below = (other: string) =>
          other.startsWith(`${path}/`) &&
          !other.slice(path.length + 1).includes("/");
        const links = thing.kind === "dir"
          ? 2 +
            [...this.paths].filter(([other, { kind }]) =>
              kind === "dir" && below(other)
            ).length
          : [...this.paths.values()].filter((each) => each === thing).length;
        return [
          path,
          `${thing.kind} ${thing.id} ${links}${thing.opaque ? " opaque" : ""}`,
        ];
      }),
    );
  }
}

const KINDS: Readonly<Record<number, string>> = {
  0o040000: "dir",
  0o100000: "file",
  0o020000: "whiteout",
};

function factsOf(tree: LayerTree): Record<string, string> {
  const facts: Record<string, string> = {};
  const walk = (directory: number, prefix: string) => {
    for (const [at, name] of namesIn(tree, directory).entries()) {
      const inode = tree.direntInode[
        (tree.first[directory] as number) + at
      ] as number;
      const kind = KINDS[(tree.mode[inode] as number) & 0o170000] ?? "other";
      const id = kind === "dir" ? 0 : tree.size[inode];
      const opaque = tree.xattrCount(inode) > 0 ? " opaque" : "";
      facts[prefix + name] = `${kind} ${id} ${tree.nlink[inode]}${opaque}`;
      if (kind === "dir") walk(inode, `${prefix}${name}/`);
    }
  };
  walk(0, "");
  return facts;
}

const part = fc.constantFrom("a", "b", "c");
const path = fc.array(part, { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const anyEntry: fc.Arbitrary<EntryFacts> = fc.oneof(
  fc.record({ name: path, size: fc.integer({ min: 1, max: 1000 }) }),
  fc.record({ name: path, type: fc.constant("dir" as const) }),
  fc.record({
    name: path,
    type: fc.constant("hardlink" as const),
    linkname: path,
  }),
  fc.tuple(fc.array(part, { maxLength: 2 }), part).map(([parents, hidden]) => ({
    name: [...parents, `.wh.${hidden}`].join("/"),
  })),
  fc.array(part, { minLength: 1, maxLength: 2 }).map((parents) => ({
    name: [...parents, ".wh..wh..opq"].join("/"),
  })),
);

Deno.test("any list of entries gives the tree that unpacking it would give", () => {
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 25 }), (entries) => {
      const model = new Model();
      const refusedAt = entries.findIndex((entry) => !model.add(entry));
      if (refusedAt >= 0) {
        assert.throws(
          () => treeOf(entries),
          (error) =>
            error instanceof TreeCompileError && error.entry === refusedAt,
        );
      } else {
        assert.deepEqual(factsOf(treeOf(entries)), model.facts());
      }
    }),
    { numRuns: 1500 },
  );
});
