/**
 * `deno task bench:coldstart`: time from the beginning of a pull until a program in a container is
 * ready, for real images out of Debian's packages, over lines of limited rate and delay, by several
 * ways in turns. The registry is warm, the node cold: each start has new daemons with empty folders.
 *
 * - `--rounds N` (5), `--images redis,python`, `--lines loopback,1g,100m,25m`, `--contestants
 *   overlayfs,soci-deno`: less of it.
 * - `--job`: after the first start of each, a job that reads four of five files of the image.
 * - `--prepare`: only make the images, and what is published for them, and find out what they need.
 * - `--needs`: find out anew what each start needs, and the time it takes when all of that is here.
 * - `--report FILE`: only draw the report of an earlier run's JSON file.
 *
 * Images, what is published for them and what they need stay on disk between runs. Leaves a JSON file
 * and a report (HTML) in `tests/bench/results`.
 * @module
 */
import { parseArgs } from "node:util";
import { measureAll } from "./coldstart/campaign.ts";
import { CONTESTANTS } from "./coldstart/contestants.ts";
import { LINES } from "./coldstart/lines.ts";
import type { Outcome } from "./coldstart/outcome.ts";
import { BenchRegistry } from "./coldstart/registry.ts";
import { report, timesChart } from "./coldstart/report.ts";
import { printSummary } from "./coldstart/summary.ts";
import { NAMES } from "./coldstart/workloads.ts";
import { saveResults } from "./results.ts";
import { describeMachine } from "./support.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    images: { type: "string" },
    lines: { type: "string" },
    contestants: { type: "string" },
    job: { type: "boolean", default: false },
    needs: { type: "boolean", default: false },
    prepare: { type: "boolean", default: false },
    report: { type: "string" },
  },
});

if (values.report === undefined) await measureAndSave();
else await draw(values.report);
Deno.exit(0); // Workers of the lines

async function measureAndSave(): Promise<void> {
  const machine = describeMachine();
  console.log(machine);
  const rounds = values.prepare ? 0 : Number(values.rounds);
  const lines = chosen(LINES, values.lines);
  const ways = [];
  const contestants = [];
  for (const contestant of chosen(CONTESTANTS, values.contestants)) {
    const { name, title } = contestant;
    const skipped = await contestant.missing();
    ways.push({ name, title, skipped });
    if (skipped === null) contestants.push(contestant);
    else console.log(`skipped: ${title}: ${skipped}`);
  }
  const names = chosen(NAMES.map((name) => ({ name })), values.images);
  await using registry = await BenchRegistry.start();
  const from = performance.now();
  const measured = await measureAll(registry, {
    ...{ lines, contestants, rounds, job: values.job, needs: values.needs },
    images: names.map(({ name }) => name),
  });
  if (values.prepare) return console.log("all of it is here");
  const at = new Date().toISOString();
  const outcome: Outcome = { at, machine, rounds, lines, ways, ...measured };
  printSummary(outcome);
  const minutes = (performance.now() - from) / 60_000;
  console.log(`\n${measured.found.length} starts in ${minutes.toFixed(1)} min`);
  const saved = saveResults("coldstart", { outcome });
  console.log(`\nsaved: ${saved}`);
  await draw(saved);
}

async function draw(path: string): Promise<void> {
  const { outcome }: { outcome: Outcome } = JSON.parse(
    await Deno.readTextFile(path),
  );
  const base = path.replace(/\.json$/, "");
  await Deno.writeTextFile(`${base}.html`, report(outcome));
  for (const line of outcome.lines) {
    const svg = timesChart(outcome, line);
    await Deno.writeTextFile(`${base}-${line.name}.svg`, svg);
  }
  console.log(`report: ${base}.html, and a chart of each line beside it`);
}

/** The ones of a list that were asked for by name, all when none was. @throws Error */
function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  names: string | undefined,
): readonly T[] {
  if (names === undefined) return all;
  return names.split(",").map((name) => {
    const one = all.find((it) => it.name === name);
    if (one === undefined) {
      throw new Error(
        `${name} is none of ${all.map((it) => it.name).join(", ")}`,
      );
    }
    return one;
  });
}
