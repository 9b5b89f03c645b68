/**
 * `deno task bench:eager`: images without an index, from the pull to their program's first answer, and what else the
 * goals of whole images are about: bytes written, removal, many small layers, one large one with an index, a second node,
 * and programs in a container. containerd's overlayfs, the existing daemon where a release of it is here, and ours,
 * in turns; new daemons with empty folders for each start. Images are those of `bench:coldstart`.
 *
 * - `--rounds N` (3), `--images redis,java,node,python`, `--only loopback,1g,100m,small,large,second,inside`, `--ways
 *   overlayfs,existing,soci-deno,soci-deno-kept`: less of it. Over lines: ours and overlayfs, and of the images the first
 *   (`1g`: the first two).
 * - `--large MB` (2000): of the tar of the large layer.
 * - `--prepare`: only make the images.
 * - `--report FILE`: only draw the report of an earlier run's JSON file.
 *
 * Leaves a JSON file and a report (HTML) in `tests/bench/results`.
 * @module
 */
import { parseArgs } from "node:util";
import { throttle } from "../support/link/mod.ts";
import { type Line, LINES } from "./coldstart/lines.ts";
import { BenchRegistry, type Published } from "./coldstart/registry.ts";
import { type Name, NAMES, WORKLOADS } from "./coldstart/workloads.ts";
import { allowed, type Cost, costOf } from "./eager/limits.ts";
import { measureInside, measureLarge, measureSmall } from "./eager/other.ts";
import { report } from "./eager/report.ts";
import { measureSecond, SECOND } from "./eager/second.ts";
import {
  goalsOf,
  type Measure,
  MEASURES,
  middle,
  type Outcome,
  type Sample,
  subjectsOf,
  WAY,
} from "./eager/samples.ts";
import { startAndRemove } from "./eager/start.ts";
import { type Way, WAYS } from "./eager/ways.ts";
import { saveResults } from "./results.ts";
import { describeMachine, printTable } from "./support.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    images: { type: "string", default: "redis,java,node,python" },
    only: {
      type: "string",
      default: "loopback,1g,100m,small,large,second,inside",
    },
    ways: { type: "string", default: WAYS.map(({ name }) => name).join() },
    large: { type: "string", default: "2000" },
    prepare: { type: "boolean", default: false },
    report: { type: "string" },
  },
});
/** Images that are started over a line: the slower it is, the fewer. */
const OVER: Readonly<Record<string, number>> = { "1g": 2, "100m": 1 };

if (values.report === undefined) await measureAndSave();
else await draw(values.report);
Deno.exit(0); // Workers of the lines

interface Ready {
  readonly name: Name;
  readonly published: Published;
  readonly cost: Cost;
}

async function measureAndSave(): Promise<void> {
  const machine = describeMachine();
  console.log(machine);
  const rounds = values.prepare ? 1 : Number(values.rounds);
  const ways = await waysHere(values.ways.split(","));
  const only = new Set(values.only.split(","));
  await using registry = await BenchRegistry.start();
  const images = await imagesReady(registry, values.images.split(","));
  const megabytes = Number(values.large);
  const samples: Sample[] = [];
  const from = performance.now();
  const add = (found: readonly Sample[]) => {
    samples.push(...found);
    for (const { measure, subject, way, value } of found) {
      const { title, unit } = MEASURES[measure];
      console.log(`${title}, ${subject}, ${way}: ${value.toFixed(2)} ${unit}`);
    }
  };
  const second = SECOND.filter((name) =>
    only.has("second") && values.images.split(",").includes(name)
  );
  if (values.prepare) {
    for (const name of second) await measureSecond(registry, name, 0);
    if (only.has("large")) await measureLarge(registry, megabytes);
    return console.log("all of it is here");
  }
  for (let round = 0; round < rounds; round++) {
    for (const line of LINES.filter(({ name }) => only.has(name))) {
      add(await overLine(registry, line, images, ways));
    }
    if (only.has("small")) add(await measureSmall(registry, ways));
    if (only.has("large")) add(await measureLarge(registry, megabytes));
    for (const name of second) add(await measureSecond(registry, name, round));
  }
  const python = images.find(({ name }) => name === "python");
  if (only.has("inside") && python !== undefined) {
    const image = registry.reference(python.published);
    const both = ways.filter(({ name }) =>
      name === WAY.overlay || name === WAY.ours
    );
    add(await measureInside(registry, image, { ways: both, rounds }));
  }
  const titles = {
    ...Object.fromEntries(ways.map(({ name, title }) => [name, title])),
    [WAY.oneCore]: "soci-deno and registry on one core",
    [WAY.oneCoreAlone]: "soci-deno alone on one core",
    [WAY.limit]: "what the goal gives",
    [WAY.built]: "soci-deno, an index of build-index",
    [WAY.passing]: "soci-deno, the index that a first node pushed",
  };
  const at = new Date().toISOString();
  const outcome = { at, machine, rounds, ways: titles, samples };
  print(outcome);
  const minutes = (performance.now() - from) / 60_000;
  console.log(`\n${samples.length} figures in ${minutes.toFixed(1)} min`);
  const saved = saveResults("eager", { outcome });
  console.log(`saved: ${saved}`);
  await draw(saved);
}

async function waysHere(names: readonly string[]): Promise<Way[]> {
  const here: Way[] = [];
  for (const way of WAYS.filter(({ name }) => names.includes(name))) {
    const missing = await way.missing();
    if (missing === null) here.push(way);
    else console.log(`skipped: ${way.title}: ${missing}`);
  }
  return here;
}

async function imagesReady(
  registry: BenchRegistry,
  names: readonly string[],
): Promise<Ready[]> {
  const images: Ready[] = [];
  for (const name of NAMES.filter((name) => names.includes(name))) {
    const published = await registry.publish(name, "bare");
    const cost = await costOf(registry, published);
    console.log(
      `${name}: ${(cost.bytes / 1e6).toFixed(0)} MB; inflate and hash, s: ${
        cost.layers.map((it) => it.toFixed(2)).join(" ")
      }`,
    );
    images.push({ name, published, cost });
  }
  return images;
}

/** Starts over one line; on the loopback also what they wrote, and their removal. */
async function overLine(
  registry: BenchRegistry,
  line: Line,
  images: readonly Ready[],
  ways: readonly Way[],
): Promise<Sample[]> {
  const { limits } = line;
  const measure = line.name as Measure;
  await using link = limits === null
    ? null
    : await throttle(registry.host, limits);
  const port = link === null ? undefined : Number(link.host.split(":")[1]);
  const samples: Sample[] = [];
  for (const { name, published, cost } of images.slice(0, OVER[line.name])) {
    const { ready, measured: invocation } = WORKLOADS[name];
    const image = registry.reference(published, port);
    const told = { subject: name, measure };
    if (limits !== null) {
      samples.push({ ...told, way: WAY.limit, value: allowed(cost, line) });
    }
    for (const way of ways) {
      if (
        limits !== null && way.name !== WAY.overlay && way.name !== WAY.ours
      ) {
        continue;
      }
      await using stack = new AsyncDisposableStack();
      const node = await way.node(stack, registry.authority.certPath);
      const start = await startAndRemove(node, image, { ready, invocation });
      const found = { subject: name, way: way.name };
      samples.push({ ...found, measure, value: start.seconds });
      if (limits !== null) continue;
      samples.push(
        { ...found, measure: "early", value: start.earlyMb },
        { ...found, measure: "written", value: start.writtenMb },
        { ...found, measure: "removal", value: start.removalSeconds },
      );
    }
  }
  return samples;
}

function print(outcome: Outcome): void {
  const ways = Object.keys(outcome.ways);
  for (const measure of Object.keys(MEASURES) as Measure[]) {
    const subjects = subjectsOf(outcome, measure);
    if (subjects.length === 0) continue;
    const { title, unit } = MEASURES[measure];
    printTable(
      `${title} (${unit})`,
      ["", ...ways],
      subjects.map((subject) => [
        subject,
        ...ways.map((way) =>
          middle(outcome, measure, subject, way)?.toFixed(2) ?? ""
        ),
      ]),
    );
  }
  printTable(
    "Goals",
    ["", "goal", "found", ""],
    goalsOf(outcome).map(({ measure, subject, goal, found, holds }) => [
      `${measure}, ${subject}`,
      goal,
      found,
      holds === null ? "?" : holds ? "holds" : "MISSED",
    ]),
  );
}

async function draw(path: string): Promise<void> {
  const { outcome }: { outcome: Outcome } = JSON.parse(
    await Deno.readTextFile(path),
  );
  const page = path.replace(/json$/, "html");
  await Deno.writeTextFile(page, report(outcome));
  console.log(`report: ${page}`);
}
