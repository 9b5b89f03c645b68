/** The module rules, checked against the facts of the modules. @module */
import { circles } from "./circles.ts";
import type { Import, Module } from "./facts.ts";
import type { Plan } from "./plan.ts";

/** A violation of a rule, as one line that says where it is and what to do. */
export type Violation = string;

type Rule = (modules: readonly Module[], plan: Plan) => Iterable<Violation>;

/** Every rule, in the order in which its violations are listed. */
const RULES: readonly Rule[] = [
  importsStay,
  importsRunDown,
  narrowRooms,
  roomsEnteredByTheirDoor,
  roomsWithoutCircles,
  filesWithoutCircles,
  pureWings,
  doorsSpeak,
  everyFileHasARoom,
  nobodyKnowsItsPlace,
  shortFiles,
];

/** The violations; empty if all rules hold. */
export function violations(
  modules: readonly Module[],
  plan: Plan,
): readonly Violation[] {
  return RULES.flatMap((rule) => [...rule(modules, plan)]);
}

/**
 * The room of a file, from `lib/`: `host/os`, or `config` for a wing that is one room. `cmd` and
 * `main.ts` are rooms above all others. `null` outside the product, and for a wing's own `mod.ts`.
 */
export function roomOf(path: string, plan: Plan): string | null {
  const [top, wing, room, file] = path.split("/");
  if (top === "cmd" || path === "main.ts") return top as string;
  if (top !== "lib" || wing === undefined || room === undefined) return null;
  if (plan.shared.includes(wing)) return wing;
  return file === undefined ? null : `${wing}/${room}`;
}

/** Whether a file is the `mod.ts` of a room or a wing; a folder inside a room may have one of its own. */
export function isDoor(path: string, plan: Plan): boolean {
  const room = roomOf(path, plan);
  return room === null
    ? /^lib\/\w+\/mod\.ts$/.test(path)
    : path === `lib/${room}/mod.ts`;
}

/** What each room imports, in the plan's order. */
export function roomGraph(
  modules: readonly Module[],
  plan: Plan,
): Map<string, Set<string>> {
  const graph = new Map<string, Set<string>>();
  for (const { path, imports } of modules) {
    const room = roomOf(path, plan);
    if (room === null) continue;
    const uses = graph.get(room) ?? new Set();
    graph.set(room, uses);
    for (const { target } of imports) {
      const other = target === null ? null : roomOf(target, plan);
      if (other !== null && other !== room) uses.add(other);
    }
  }
  return graph;
}

function* edges(
  modules: readonly Module[],
): Generator<Import & { readonly path: string; readonly target: string }> {
  for (const { path, imports } of modules) {
    for (const one of imports) {
      const { target } = one;
      if (target !== null) yield { ...one, path, target };
    }
  }
}

function isProduct(path: string): boolean {
  return /^(lib|cmd)\/|^main\.ts$/.test(path);
}

function* importsStay(modules: readonly Module[]): Generator<Violation> {
  for (const { path, target, line } of edges(modules)) {
    if (isProduct(target)) continue;
    yield `${path}:${line}: imports ${target}, which is no part of the product`;
  }
}

/** The depth of a room. Imports go to a greater depth, or stay in the wing. */
function depth(room: string, plan: Plan): number {
  if (room === "main.ts") return -2;
  if (room === "cmd") return -1;
  const wing = room.split("/")[0] as string;
  return plan.shared.includes(wing)
    ? plan.wings.length
    : plan.wings.indexOf(wing);
}

function* importsRunDown(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const { path, target, line } of edges(modules)) {
    const from = roomOf(path, plan);
    const to = roomOf(target, plan);
    if (from === null || to === null) continue;
    if (depth(to, plan) >= depth(from, plan)) continue;
    yield `${path}:${line}: imports ${target}: ${from} lies below ${to}`;
  }
}

function* narrowRooms(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const { path, target, line } of edges(modules)) {
    const from = roomOf(path, plan);
    const to = roomOf(target, plan);
    if (from === null || to === null || from === to) continue;
    const narrow = plan.narrow[from];
    if (narrow === undefined || narrow.uses.includes(to)) continue;
    if (plan.shared.includes(to)) continue;
    yield `${path}:${line}: imports ${target}, but ${from} knows ${narrow.why}`;
  }
}

function* roomsEnteredByTheirDoor(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const { path, target, line, kind } of edges(modules)) {
    const from = roomOf(path, plan);
    const to = roomOf(target, plan);
    if (!isProduct(target)) continue; // another rule reports it
    if (kind === "worker") {
      if (from === to) continue;
      yield `${path}:${line}: starts ${target}, a Worker of another room`;
    } else if (from !== to && to !== "cmd" && !isDoor(target, plan)) {
      yield `${path}:${line}: enters ${to} by ${target} and not by its mod.ts`;
    } else if (to === null) {
      yield `${path}:${line}: imports ${target}, the opening of a wing`;
    }
  }
}

function* roomsWithoutCircles(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const circle of circles(roomGraph(modules, plan))) {
    yield `rooms in a circle: ${circle.join(" -> ")}`;
  }
}

function* filesWithoutCircles(
  modules: readonly Module[],
): Generator<Violation> {
  const graph = new Map<string, Set<string>>();
  for (const { path, target, kind } of edges(modules)) {
    if (kind === "worker") continue; // a Worker is a program of its own
    const targets = graph.get(path) ?? new Set();
    graph.set(path, targets.add(target));
  }
  for (const circle of circles(graph)) {
    yield `files in a circle: ${circle.join(" -> ")}`;
  }
}

/** Builtins that only compute. */
const PURE_BUILTINS = new Set([
  "node:buffer",
  "node:crypto",
  "node:zlib",
  "node:util",
]);

function* pureWings(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const { path, reaches, imports } of modules) {
    if (!plan.pure.some((wing) => path.startsWith(`lib/${wing}/`))) continue;
    for (const { what, line } of reaches) {
      if (what === "Deno.build") continue; // a constant of the program
      yield `${path}:${line}: uses ${what}: formats do no I/O and know no clock`;
    }
    for (const { specifier, line } of imports) {
      if (!specifier.startsWith("node:") || PURE_BUILTINS.has(specifier)) {
        continue;
      }
      yield `${path}:${line}: imports ${specifier}: formats do no I/O and know no clock`;
    }
  }
}

/** A shorter comment cannot say what a room is for and what it must not know. */
const SHORTEST_OPENING = 80;

function* doorsSpeak(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  const doors = new Map(modules.map((one) => [one.path, one]));
  const rooms = new Set<string>();
  for (const { path } of modules) {
    const room = roomOf(path, plan);
    if (room === null || !path.startsWith("lib/")) continue;
    rooms.add(room).add(room.split("/")[0] as string);
  }
  for (const room of [...rooms].sort()) {
    const path = `lib/${room}/mod.ts`;
    const door = doors.get(path);
    if (door === undefined) {
      yield `${path}: missing; each wing and each room has one`;
    } else if (
      door.opening.length < SHORTEST_OPENING ||
      !door.opening.includes("@module")
    ) {
      yield `${path}: its opening comment (with @module) does not say what it is for`;
    }
  }
}

function* everyFileHasARoom(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const { path } of modules) {
    const [top, wing, file] = path.split("/");
    if (top !== "lib" || wing === undefined) continue;
    if (![...plan.wings, ...plan.shared].includes(wing)) {
      yield `${path}: ${wing} is no wing of the plan`;
    } else if (
      roomOf(path, plan) === null && file !== "mod.ts"
    ) {
      yield `${path}: lies in no room of ${wing}`;
    }
  }
}

function* nobodyKnowsItsPlace(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  for (const { path, ownAddress, strayWorkers } of modules) {
    for (const line of strayWorkers) {
      yield `${path}:${line}: starts a Worker by an address that is not written there: the compiled binary would lack it`;
    }
    if (path in plan.knowTheirPlace) continue;
    for (const line of ownAddress) {
      yield `${path}:${line}: asks where it lies (import.meta.url), which is for starting Workers alone`;
    }
  }
}

function* shortFiles(
  modules: readonly Module[],
  plan: Plan,
): Generator<Violation> {
  const lines = new Map(modules.map((one) => [one.path, one.lines]));
  for (const [path, count] of lines) {
    if (count <= plan.longest || path in plan.long) continue;
    if (isGenerated(path, plan)) continue;
    yield `${path}: ${count} lines, ${plan.longest} at most without a reason in the plan`;
  }
  for (const path of Object.keys(plan.long)) {
    if ((lines.get(path) ?? 0) > plan.longest) continue;
    yield `${path}: is no long file any more: take it out of the plan`;
  }
}

/** Whether a file is generated. */
export function isGenerated(path: string, plan: Plan): boolean {
  return plan.generated.some((one) =>
    path === one || path.startsWith(`${one}/`)
  );
}

/**
 * Checks the product's packages: each one it imports is in its own import map, and each one in the
 * map is used. Packages for tests and tools belong in the maps of their workspace members.
 * @param map `imports` of the product's `deno.json`.
 */
export function* packageViolations(
  modules: readonly Module[],
  map: Readonly<Record<string, string>>,
): Generator<Violation> {
  const used = new Set<string>();
  for (const { path, imports } of modules) {
    for (const { specifier, target, line } of imports) {
      if (target !== null || specifier.startsWith("node:")) continue;
      const name = Object.keys(map).find((one) =>
        specifier === one || specifier.startsWith(`${one}/`)
      );
      if (name === undefined) {
        yield `${path}:${line}: imports ${specifier}, which is no package of the product`;
      } else used.add(name);
    }
  }
  for (const name of Object.keys(map)) {
    if (!used.has(name)) {
      yield `deno.json: nothing of the product imports ${name}`;
    }
  }
}
