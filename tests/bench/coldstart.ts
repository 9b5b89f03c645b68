/**
 * `deno task bench:coldstart`: time from the beginning of a pull until a program in a container is
 * ready, for real images out of Debian's packages, over lines of limited rate and delay, by several
 * ways in turns. The registry is warm, the node cold: each start has new daemons with empty folders.
 *
 * - `--rounds N` (5), `--images redis,python`, `--lines loopback,1g,100m,25m`, `--contestants
 *   overlayfs,soci-deno`: less of it.
 *
 * - `--needs`: find out anew what each start needs, and the time it takes when all of that is here.
 *
 * Images, what is published for them and what they need stay on disk between runs.
 * @module
 */
import { parseArgs } from "node:util";
import { throttle } from "../support/link/mod.ts";
import { CONTESTANTS } from "./coldstart/contestants.ts";
import { describeLine, LINES } from "./coldstart/lines.ts";
import { measureStart } from "./coldstart/measure.ts";
import { BenchRegistry } from "./coldstart/registry.ts";
import { type Measured, summaryTable } from "./coldstart/summary.ts";
import { NAMES } from "./coldstart/workloads.ts";
import { saveResults } from "./results.ts";
import { printMachine } from "./support.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    images: { type: "string" },
    lines: { type: "string" },
    contestants: { type: "string" },
    needs: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const images = chosen(NAMES.map((name) => ({ name })), values.images);
const lines = chosen(LINES, values.lines);
const contestants = chosen(CONTESTANTS, values.contestants);

printMachine();
const able = [];
for (const contestant of contestants) {
  const reason = await contestant.missing();
  if (reason === null) able.push(contestant);
  else console.log(`skipped: ${contestant.title}: ${reason}`);
}
const found: Measured[] = [];
{
  await using registry = await BenchRegistry.start();
  for (const { name } of images) {
    for (const { publication } of able) {
      await registry.publish(name, publication);
    }
  }
  for (const line of lines) {
    await using link = line.limits === null
      ? null
      : await throttle(registry.host, line.limits);
    const port = link === null ? {} : { port: Number(link.host.split(":")[1]) };
    for (const { name } of images) {
      for (let round = 0; round < rounds; round++) {
        for (const contestant of able) {
          const published = await registry.publish(
            name,
            contestant.publication,
          );
          const start = await measureStart(registry, contestant, {
            ...{ name, published, ...port },
          });
          found.push({
            line: line.name,
            image: name,
            contestant: contestant.name,
            start,
          });
          console.log(
            `${describeLine(line)}, ${name}, ${contestant.title}: ${
              (start.totalMs / 1000).toFixed(2)
            } s, ${(start.bytes / 1e6).toFixed(1)} MB`,
          );
        }
      }
    }
  }
}
summaryTable(found);
const saved = saveResults("coldstart", { rounds, found });
console.log(`\nsaved: ${saved}`);
Deno.exit(0); // Workers of the lines

/** The ones of a list that were asked for by name, all when none was. */
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
