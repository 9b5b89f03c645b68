/** What was measured, as a table for the terminal. @module */
import { printTable } from "../support.ts";
import { PLAIN_START, RECORDED_START } from "./contestants.ts";
import {
  type Figure,
  FIGURES,
  type Group,
  grouped,
  limitMs,
  middle,
  type Outcome,
  spread,
} from "./outcome.ts";

const kindBytes =
  (kind: keyof Group["all"][0]["start"]["traffic"]): Figure => ({ start }) =>
    start.traffic[kind]?.bytes ?? 0;

/**
 * What it costs that the daemon records a start, of each image and line where both were measured: the
 * difference of the medians beside how far starts without it differ from each other.
 */
export function recordingCosts({ found }: Outcome): string[] {
  const groups = grouped(found);
  return groups.filter(({ way }) => way === RECORDED_START).flatMap((one) => {
    const plain = groups.find(({ line, image, way }) =>
      way === PLAIN_START && line === one.line && image === one.image
    );
    if (plain === undefined) return [];
    const more = (figure: Figure) => {
      const ms = (middle(one, figure) ?? NaN) - (middle(plain, figure) ?? NaN);
      return `${ms < 0 ? "" : "+"}${(ms / 1e3).toFixed(2)}`;
    };
    const apart = (figure: Figure) => {
      const [least, most] = spread(plain, figure);
      return ((most - least) / 1e3).toFixed(2);
    };
    const { total, cpu } = FIGURES;
    return [
      `${one.line}, ${one.image}: ${
        more(total)
      } s to ready (without, starts differ by ${apart(total)} s), ${
        more(cpu)
      } s of the daemon's CPU (${apart(cpu)} s)`,
    ];
  });
}

/** Prints medians of all groups. */
export function printSummary(outcome: Outcome): void {
  const { found, lines, images } = outcome;
  const cell = (group: Group, figure: Figure, digits: number, unit = 1) => {
    const value = middle(group, figure);
    return value === null ? "" : (value / unit).toFixed(digits);
  };
  const seconds = (group: Group, figure: Figure) => cell(group, figure, 2, 1e3);
  const mb = (group: Group, figure: Figure) => cell(group, figure, 1, 1e6);
  printTable(
    "From pull to ready, seconds: medians",
    [
      "line, image, way",
      ...["total", "least", "most", "limit", "from Prepare"],
      ...["command", "layers", "container", "program", "job"],
      ...["MB", "ztocs", "companion", "layers", "pack", "unread"],
      ...["of a pack", "waits", "requests", "CPU s", "RSS MB"],
    ],
    grouped(found).map((group) => {
      const [least, most] = spread(group, FIGURES.total);
      const image = images.find(({ name }) => name === group.image)!;
      const line = lines.find(({ name }) => name === group.line)!;
      return [
        `${group.line}, ${group.image}, ${group.way}`,
        seconds(group, FIGURES.total),
        (least / 1e3).toFixed(2),
        (most / 1e3).toFixed(2),
        (limitMs(image, line) / 1e3).toFixed(2),
        seconds(group, FIGURES.sincePrepare),
        seconds(group, FIGURES.command),
        seconds(group, FIGURES.layers),
        seconds(group, FIGURES.container),
        seconds(group, FIGURES.program),
        seconds(group, FIGURES.job),
        mb(group, FIGURES.bytes),
        mb(group, kindBytes("ztoc")),
        mb(group, kindBytes("companion")),
        mb(group, kindBytes("layer")),
        mb(group, kindBytes("pack")),
        mb(group, FIGURES.unread),
        mb(group, FIGURES.unreadPack),
        cell(group, FIGURES.waits, 0),
        cell(group, FIGURES.requests, 0),
        seconds(group, FIGURES.cpu),
        cell(group, FIGURES.resident, 0),
      ];
    }),
  );
  const costs = recordingCosts(outcome);
  if (costs.length > 0) {
    console.log(`\nWhat recording a start costs it\n${costs.join("\n")}`);
  }
}
