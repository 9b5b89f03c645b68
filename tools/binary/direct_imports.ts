/**
 * Imports past the doors of rooms. A room's `mod.ts` names all that the room has, so whoever imports one name by it
 * would load the whole room in a bundle that is split into parts, with the modules of Node that the rest of it wants.
 * So in a bundle each name is imported from the module that has it.
 * @module
 */
import { dirname, join, normalize, relative } from "node:path";
import type { Module } from "../house/mod.ts";

const STATIC = /^(import|export) \{([^}]*)\}\s*from "(\.[^"]*\/mod\.ts)";/gm;
const LATE =
  /const \{\s*(\w+),?\s*\} = await import\(\s*"(\.[^"]*\/mod\.ts)",?\s*\)/g;

/** What rewrites the text of a module. @param path from the root */
export type Rewrite = (path: string, text: string) => string;

/** @param modules all that there are */
export function directImports(modules: readonly Module[]): Rewrite {
  const doors = new Map(
    modules.filter(isDoor).map((module) => [module.path, module]),
  );

  /** Where a name is, behind all doors. */
  const placeOf = (door: string, name: string): Place => {
    const found = doors.get(door)?.exports.find((one) => one.name === name);
    return found?.from == null
      ? { path: door, name }
      : placeOf(found.from, found.local);
  };

  const between = (from: string, to: string): string => {
    const path = relative(dirname(from), to);
    return path.startsWith(".") ? path : `./${path}`;
  };

  return (path, text) => {
    const targetOf = (specifier: string) =>
      normalize(join(dirname(path), specifier));
    return text.replaceAll(
      STATIC,
      (whole, kind: string, names: string, specifier: string) => {
        const door = targetOf(specifier);
        if (!doors.has(door)) return whole;
        return names.split(",").map((one) => one.trim())
          .filter((one) => one !== "" && !one.startsWith("type "))
          .map((one) => {
            const [name = "", as = name] = one.split(" as ");
            const place = placeOf(door, name);
            const from = between(path, place.path);
            return `${kind} { ${place.name} as ${as} } from "${from}";`;
          }).join(" ");
      },
    ).replaceAll(LATE, (whole, name: string, specifier: string) => {
      const door = targetOf(specifier);
      if (!doors.has(door)) return whole;
      const place = placeOf(door, name);
      return `const { ${place.name}: ${name} } = await import("${
        between(path, place.path)
      }")`;
    });
  };
}

interface Place {
  readonly path: string;
  readonly name: string;
}

/** Whether a module does nothing but name what others have. */
function isDoor({ path, imports, exports }: Module): boolean {
  return path.endsWith("/mod.ts") &&
    imports.every(({ kind, names }) => kind === "export" && names !== null) &&
    exports.every(({ from }) => from !== null);
}
