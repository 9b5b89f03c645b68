/** The report of a run: one HTML page that needs nothing else, with charts as SVG. @module */
import { chart } from "../chart.ts";
import { escapeHtml } from "../coldstart/report_tables.ts";
import {
  goalsOf,
  type Measure,
  MEASURES,
  middle,
  type Outcome,
  subjectsOf,
} from "./samples.ts";

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
table { border-collapse: collapse; font-size: 13px; margin: 1rem 0; }
th, td { padding: .25rem .55rem; text-align: left;
  border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
td.number { text-align: right; white-space: nowrap; }
.missed { color: #a40000; font-weight: 600; }
figure { margin: 1rem 0; overflow-x: auto; }
`;

/** The page. */
export function report(outcome: Outcome): string {
  const { at, machine, rounds } = outcome;
  const measures = Object.keys(MEASURES) as Measure[];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Images taken whole</title><style>${STYLE}</style></head><body>
<h1>Images without an index, taken whole</h1>
<p>Real images out of Debian packages, a registry that is warm, new daemons with
empty folders for each start. Time runs from the command that pulls until the
program answers; the commands' own starts count. ${
    rounds === 1 ? "One round." : `Medians of ${rounds} rounds in turns.`
  } ${escapeHtml(at.slice(0, 16))} UTC, ${escapeHtml(machine)}.</p>
<p>The limit of a line: its bytes at the line's rate and one round trip, or what
one pass takes that inflates, hashes and indexes and writes nothing, on one core
for the longest layer, on all cores for all of them; with the allowance that the
goal gives.</p>
<h2>Goals</h2>
${goalsTable(outcome)}
${measures.map((measure) => section(outcome, measure)).join("")}
</body></html>
`;
}

function goalsTable(outcome: Outcome): string {
  const rows = goalsOf(outcome).map((
    { measure, subject, goal, found, holds },
  ) =>
    `<tr><td>${escapeHtml(MEASURES[measure].title)}</td><td>${
      escapeHtml(subject)
    }</td><td>${escapeHtml(goal)}</td><td class="number">${
      escapeHtml(found)
    }</td><td class="${holds === false ? "missed" : ""}">${
      holds === null ? "not measured" : holds ? "holds" : "missed"
    }</td></tr>`
  );
  return `<table><thead><tr><th>measure</th><th>of</th><th>goal</th>
<th>found</th><th></th></tr></thead><tbody>${rows.join("\n")}</tbody></table>`;
}

function section(outcome: Outcome, measure: Measure): string {
  const subjects = subjectsOf(outcome, measure);
  if (subjects.length === 0) return "";
  const { title, unit } = MEASURES[measure];
  const ways = Object.keys(outcome.ways).filter((way) =>
    subjects.some((subject) => middle(outcome, measure, subject, way) !== null)
  );
  const drawing = chart({
    ...{ title, groups: subjects },
    unit: unit === "s" ? "seconds" : unit,
    series: ways.map((way) => ({
      name: outcome.ways[way]!,
      values: subjects.map((subject) =>
        middle(outcome, measure, subject, way) ?? NaN
      ),
    })),
  });
  const rows = subjects.flatMap((subject) =>
    ways.map((way) => {
      const values = outcome.samples
        .filter((it) =>
          it.measure === measure && it.subject === subject && it.way === way
        ).map(({ value }) => value);
      if (values.length === 0) return "";
      const told = [
        middle(outcome, measure, subject, way)!,
        Math.min(...values),
        Math.max(...values),
      ].map((value) => `<td class="number">${value.toFixed(2)}</td>`);
      return `<tr><td>${escapeHtml(subject)}</td><td>${
        escapeHtml(outcome.ways[way]!)
      }</td>${told.join("")}</tr>`;
    })
  );
  return `<h2>${escapeHtml(title)}</h2>
<figure>${drawing}</figure>
<table><thead><tr><th></th><th></th><th>${unit}</th><th>least</th><th>most</th>
</tr></thead><tbody>${rows.join("\n")}</tbody></table>
`;
}
