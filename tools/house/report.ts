/** The report of the modules and rooms, as text. @module */
import type { Module } from "./facts.ts";
import type { Plan } from "./plan.ts";
import { isGenerated, roomGraph } from "./rules.ts";

/** Files with more lines than this are listed. */
const WORTH_A_LINE = 300;

/** Lists what each room imports, and the long files with their first sentence. */
export function report(modules: readonly Module[], plan: Plan): string {
  const graph = roomGraph(modules, plan);
  const order = ["main.ts", "cmd", ...plan.wings, ...plan.shared];
  const rank = (room: string) => order.indexOf(room.split("/")[0] as string);
  const sorted = (rooms: Iterable<string>) =>
    [...rooms].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const width = Math.max(...[...graph.keys()].map((room) => room.length));
  const rooms = sorted(graph.keys()).map((room) =>
    `${room.padEnd(width)}  ${sorted(graph.get(room) ?? []).join(" ") || "-"}`
  );
  const long = modules
    .filter(({ path, lines }) =>
      lines > WORTH_A_LINE && !isGenerated(path, plan)
    )
    .sort((a, b) => b.lines - a.lines)
    .map(({ path, lines }) =>
      `${String(lines).padStart(5)}  ${path}${
        path in plan.long ? `: ${plan.long[path]}` : ""
      }`
    );
  return [
    "What each room imports:",
    ...rooms,
    "",
    `Files over ${WORTH_A_LINE} lines:`,
    ...long,
  ].join("\n");
}
