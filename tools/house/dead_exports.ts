/** Exports that nobody imports. @module */
import type { Export, Module } from "./facts.ts";
import type { Plan } from "./plan.ts";
import { isDoor, isGenerated, roomOf, type Violation } from "./rules.ts";

/**
 * Exports that are not used. A file's export is used if another file imports it; an export of a
 * room's `mod.ts` if a file outside the room imports it. A type is also used if a used export of
 * the same room shows it, because callers must be able to name it.
 * @param product the modules whose exports are checked.
 * @param others tests and tools. An export that only they import may stay in its file if the
 * product uses it there, but must not be in the room's `mod.ts`.
 */
export function deadExports(
  product: readonly Module[],
  others: readonly Module[],
  plan: Plan,
): readonly Violation[] {
  const found: Violation[] = [];
  const uses = new Uses([...product, ...others]);
  const ours = new Set(product.map(({ path }) => path));
  for (const module of product) {
    if (isGenerated(module.path, plan)) continue;
    const shown = shownTypes(module, product, plan);
    for (const one of module.exports) {
      if (one.name === "*") continue;
      const takers = uses.of(module.path, one.name)
        .filter((path) => isOutside(path, module.path, plan));
      if (takers.some((path) => ours.has(path))) continue;
      if (one.isType && shown.has(one.name)) continue;
      if (isDoor(module.path, plan)) {
        // Not dead either: a class that a type names, an error that callers tell apart, and a name
        // that the example in the door's comment uses.
        if (shown.has(one.name) || one.name.endsWith("Error")) continue;
        if (new RegExp(`\\b${one.name}\\b`).test(module.opening)) continue;
      }
      const where = `${module.path}:${one.line}: ${one.name}`;
      if (takers.length === 0) {
        found.push(`${where} is exported for nobody`);
      } else if (isDoor(module.path, plan)) {
        found.push(`${where} is at the door for tests alone (${takers[0]})`);
      } else if (
        one.ownUses === 0 && !(`${module.path} ${one.name}` in plan.forTests)
      ) {
        found.push(`${where} is there for tests alone (${takers[0]})`);
      }
    }
  }
  return found;
}

/**
 * Whether a user counts as outside: in another room if the export is a door's, else in another
 * file.
 */
function isOutside(taker: string, giver: string, plan: Plan): boolean {
  if (!isDoor(giver, plan)) return taker !== giver;
  return roomOf(taker, plan) !== roomOf(giver, plan);
}

/** Who imports which name of which module. */
class Uses {
  readonly #takers = new Map<string, Map<string, string[]>>();

  constructor(modules: readonly Module[]) {
    for (const { path, imports } of modules) {
      for (const { target, names, kind } of imports) {
        if (target === null || kind === "worker") continue;
        for (const name of names ?? ["*"]) this.#add(target, name, path);
      }
    }
  }

  of(path: string, name: string): readonly string[] {
    const takers = this.#takers.get(path);
    return [...takers?.get(name) ?? [], ...takers?.get("*") ?? []];
  }

  #add(target: string, name: string, taker: string): void {
    const names = this.#takers.get(target) ?? new Map<string, string[]>();
    this.#takers.set(target, names);
    const takers = names.get(name) ?? [];
    names.set(name, takers);
    takers.push(taker);
  }
}

/** Names that other exports of the module show in their types, also through re-exports. */
function shownTypes(
  module: Module,
  product: readonly Module[],
  plan: Plan,
): ReadonlySet<string> {
  const room = roomOf(module.path, plan);
  const inRoom = product.filter(({ path }) => roomOf(path, plan) === room);
  const declared = new Map<string, Export[]>();
  for (const { path, exports } of inRoom) {
    // A mod.ts shows what its whole room declares; any other file shows only its own.
    if (path !== module.path && !module.path.endsWith("/mod.ts")) continue;
    for (const one of exports) {
      if (one.from !== null) continue;
      declared.set(one.name, [...declared.get(one.name) ?? [], one]);
    }
  }
  const shown = new Set<string>();
  for (const { local } of module.exports) {
    for (const one of declared.get(local) ?? []) {
      for (const name of one.shape) if (name !== local) shown.add(name);
    }
  }
  return shown;
}
