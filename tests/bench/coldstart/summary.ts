/** Medians and spread of what was measured. @module */
import { median, printTable } from "../support.ts";
import type { Start } from "./measure.ts";

/** One start, and what it was. */
export interface Measured {
  readonly line: string;
  readonly image: string;
  readonly contestant: string;
  readonly start: Start;
}

/** All starts of one image by one way over one line. */
export interface Group {
  readonly line: string;
  readonly image: string;
  readonly contestant: string;
  readonly starts: readonly Start[];
}

/** Puts together what belongs together, in the order of its first start. */
export function grouped(found: readonly Measured[]): Group[] {
  const groups = Map.groupBy(
    found,
    ({ line, image, contestant }) => `${line} ${image} ${contestant}`,
  );
  return [...groups.values()].map((all) => ({
    ...all[0]!,
    starts: all.map(({ start }) => start),
  }));
}

/** The median of a figure; null where no start has it. */
export function middle(
  { starts }: Group,
  figure: (start: Start) => number | null,
): number | null {
  const values = starts.map(figure).filter((it) => it !== null);
  return values.length === 0 ? null : median(values);
}

/** Prints a table of all groups. */
export function summaryTable(found: readonly Measured[]): void {
  const cell = (
    group: Group,
    figure: (start: Start) => number | null,
    digits: number,
    unit = 1,
  ) => {
    const value = middle(group, figure);
    return value === null ? "" : (value / unit).toFixed(digits);
  };
  const mb = (kind: keyof Start["traffic"]) => ({ traffic }: Start) =>
    traffic[kind]?.bytes ?? 0;
  printTable(
    "From pull to ready, seconds: medians",
    [
      "line, image, way",
      ...["total", "least", "most", "since Prepare"],
      ...["command", "layers", "container", "program"],
      ...["MB", "ztocs", "layers", "requests", "CPU s", "RSS MB"],
    ],
    grouped(found).map((group) => {
      const totals = group.starts.map(({ totalMs }) => totalMs / 1000);
      return [
        `${group.line}, ${group.image}, ${group.contestant}`,
        cell(group, ({ totalMs }) => totalMs, 2, 1000),
        Math.min(...totals).toFixed(2),
        Math.max(...totals).toFixed(2),
        cell(group, ({ sincePrepareMs }) => sincePrepareMs, 2, 1000),
        cell(group, ({ phases }) => phases.command, 2, 1000),
        cell(group, ({ phases }) => phases.layers, 2, 1000),
        cell(group, ({ phases }) => phases.container, 2, 1000),
        cell(group, ({ phases }) => phases.program, 2, 1000),
        cell(group, ({ bytes }) => bytes, 1, 1e6),
        cell(group, mb("ztoc"), 1, 1e6),
        cell(group, mb("layer"), 1, 1e6),
        cell(
          group,
          ({ traffic }) =>
            Object.values(traffic).reduce((sum, it) => sum + it.requests, 0),
          0,
        ),
        cell(group, ({ cpuMs }) => cpuMs, 2, 1000),
        cell(group, ({ residentMb }) => residentMb, 0),
      ];
    }),
  );
}
