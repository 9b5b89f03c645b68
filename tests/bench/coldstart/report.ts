/**
 * The report of a run: one HTML page that needs nothing else, with charts as SVG.
 * @module
 */
import { chart } from "../chart.ts";
import type { Kind } from "./contents.ts";
import { RECORDED_START } from "./contestants.ts";
import { describeLine, type Line } from "./lines.ts";
import {
  type Figure,
  FIGURES,
  type Group,
  grouped,
  limitMs,
  middle,
  type Outcome,
  type WayFacts,
} from "./outcome.ts";
import {
  escapeHtml,
  figuresTable,
  imagesTable,
  waysList,
} from "./report_tables.ts";
import { recordingCosts } from "./summary.ts";

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1320px;
  margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { padding: .25rem .55rem; text-align: right;
  border-bottom: 1px solid #ddd; white-space: nowrap; }
th { border-bottom: 2px solid #888; font-weight: 600; vertical-align: bottom;
  white-space: normal; max-width: 6rem; }
td:first-child, th:first-child { text-align: left; }
.starts td:nth-child(2), .starts th:nth-child(2) { text-align: left; }
tr.first td { border-top: 2px solid #bbb; }
.ours { font-weight: 600; } .note { color: #555; }
figure { margin: 1rem 0; overflow-x: auto; }
`;

const METADATA: readonly Kind[] = [
  ...["image", "index", "ztoc", "companion", "plan", "other"] as const,
];

/** The page. */
export function report(outcome: Outcome): string {
  const { at, machine, rounds, lines } = outcome;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Cold start</title><style>${STYLE}</style></head><body>
<h1>Cold start: from pull to ready</h1>
<p>Real images out of Debian packages, a registry behind a line of limited rate
and delay, a node with nothing cached. Time runs from the command that pulls
the image until its program answers; the command's own start counts. ${
    rounds === 1 ? "One round." : `Medians of
${rounds} rounds in turns.`
  } ${escapeHtml(at.slice(0, 16))} UTC,
${escapeHtml(machine)}.</p>
${waysList(outcome)}
<h2>Images, and what a start needs</h2>
<p>Needed: the pages that the program reads, seen with the kernel's read-ahead
off. The least time is that of a start with all of them cached. A start's
<em>limit</em> is this, or the needed bytes (compressed) over the line.</p>
${imagesTable(outcome)}
${lines.map((line) => lineSection(outcome, line)).join("")}
${costsSection(outcome)}
</body></html>
`;
}

/** Times to ready over one line, each image's limit among them. @returns an SVG document */
export function timesChart(outcome: Outcome, line: Line): string {
  const groups = grouped(outcome.found).filter((it) => it.line === line.name);
  const at = (image: string, way: string) =>
    groups.find((group) => group.image === image && group.way === way);
  const images = outcome.images
    .filter(({ name }) => groups.some(({ image }) => image === name));
  // A full pull is off the scale of the others: it stands in the labels.
  const ways = outcome.ways
    .filter(({ name, skipped }) => skipped === null && isDrawn(name));
  return chart({
    title: `From pull to ready, ${describeLine(line)}`,
    unit: "seconds",
    groups: images.map(({ name }) => {
      const full = at(name, "overlayfs");
      return full === undefined
        ? name
        : `${name} (full pull ${seconds(middle(full, FIGURES.total))})`;
    }),
    series: ways.map(({ name, title }) => ({
      name: title,
      values: images.map((image) => {
        const group = at(image.name, name);
        return group === undefined
          ? NaN
          : (middle(group, FIGURES.total) ?? NaN) / 1000;
      }),
    })),
    marks: {
      name: "limit",
      values: images.map((image) => limitMs(image, line) / 1000),
    },
  });
}

function lineSection(outcome: Outcome, line: Line): string {
  const groups = grouped(outcome.found).filter((it) => it.line === line.name);
  const lazy = groups.filter(({ way }) => isDrawn(way));
  return `<h2>${describeLine(line)}</h2>
<figure>${timesChart(outcome, line)}</figure>
<figure>${phasesChart(lazy, outcome.ways)}</figure>
<figure>${bytesChart(lazy, outcome.ways)}</figure>
${figuresTable(outcome, line, groups)}
`;
}

/** Nothing where it was not measured. */
function costsSection(outcome: Outcome): string {
  const costs = recordingCosts(outcome);
  if (costs.length === 0) return "";
  const items = costs.map((it) => `<li>${escapeHtml(it)}</li>`).join("");
  return `<h2>What recording a start costs it</h2>
<p>The median of starts that the daemon records, less that of those that it does not.</p>
<ul>${items}</ul>
`;
}

/** What recording costs is told by itself. */
function isDrawn(way: string): boolean {
  return way !== "overlayfs" && way !== RECORDED_START;
}

const seconds = (ms: number | null) => `${((ms ?? NaN) / 1000).toFixed(1)} s`;

function phasesChart(
  groups: readonly Group[],
  ways: readonly WayFacts[],
): string {
  const parts = [
    ["until the first Prepare", FIGURES.command],
    ["layers", FIGURES.layers],
    ["container", FIGURES.container],
    ["program", FIGURES.program],
  ] as const;
  return chart({
    title: "Where the time goes",
    unit: "seconds",
    stacked: true,
    groups: groups.map((group) => labelOf(group, ways)),
    series: parts.map(([name, figure]) => ({
      name,
      values: groups.map((group) => (middle(group, figure) ?? 0) / 1000),
    })),
  });
}

function bytesChart(
  groups: readonly Group[],
  ways: readonly WayFacts[],
): string {
  const of = (group: Group, figure: Figure) => middle(group, figure) ?? 0;
  const sum = (group: Group, ...kinds: Kind[]) =>
    kinds.reduce(
      (sum, kind) =>
        sum + of(group, ({ start }) => start.traffic[kind]?.bytes ?? 0),
      0,
    );
  const parts: ReadonlyArray<[string, (group: Group) => number]> = [
    ["metadata", (it) => sum(it, ...METADATA)],
    ["pack", (it) => sum(it, "pack") - of(it, FIGURES.unreadPack)],
    ["spans", (it) => sum(it, "layer") - of(it, FIGURES.unreadSpans)],
    ["never read", (it) => of(it, FIGURES.unread)],
  ];
  return chart({
    title: "What was fetched",
    unit: "MB",
    stacked: true,
    groups: groups.map((group) => labelOf(group, ways)),
    series: parts.map(([name, bytes]) => ({
      name,
      values: groups.map((group) => bytes(group) / 1e6),
    })),
  });
}

function labelOf({ image, way }: Group, ways: readonly WayFacts[]): string {
  return `${image}, ${ways.find(({ name }) => name === way)?.title ?? way}`;
}
