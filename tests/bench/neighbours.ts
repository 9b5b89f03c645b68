/**
 * `deno task bench:neighbours [rounds] [kind…]`: how long a file of a healthy image takes to read, alone
 * and beside each kind of bad neighbour, in turns. The files are cold as far as the cache's budget goes
 * (a quarter of the image), and read at a pace that takes less than half a core. Rounds: 3 when not said.
 * @module
 */
import { KINDS } from "../e2e/neighbours/kinds.ts";
import { type Beside, NeighbourStage } from "../e2e/neighbours/stage.ts";
import { saveResults } from "./results.ts";
import { median, printMachine, printTable } from "./support.ts";

/** Files a second: each takes some 15 ms of the daemon and its Workers. */
const LOAD = 12;
/** For each figure. */
const MISSES = 200;
const GOAL = 1.2;

interface Pair {
  readonly alone: Beside;
  readonly beside: Beside;
}

const [count = "3", ...wanted] = Deno.args;
const rounds = Number(count);
const names = wanted.length > 0 ? wanted : Object.keys(KINDS);
printMachine();
const found = new Map<string, Pair[]>(names.map((name) => [name, []]));
{
  await using stage = await NeighbourStage.start({
    misses: MISSES,
    load: LOAD,
  });
  await stage.watch(); // the first ones, whose code runs first, do not count
  for (let round = 0; round < rounds; round++) {
    for (const [name, pairs] of found) {
      const alone = await stage.watch();
      await using neighbour = await KINDS[name]!(stage);
      await neighbour.spoil();
      const beside = await stage.watch(() => neighbour.shown() !== null);
      pairs.push({ alone, beside });
      console.log(
        `${name}: p99 ${alone.p99Ms} ms alone, ${beside.p99Ms} ms beside`,
      );
    }
  }
}
const ms = (pairs: readonly Pair[], of: (pair: Pair) => number) =>
  median(pairs.map(of));
printTable(
  `A file of a healthy image at ${LOAD} files a second, ms (medians of ${rounds}); goal: ${GOAL} × alone`,
  ["beside", "p50 alone", "p50", "p99 alone", "p99", "p99 ×", "errors, wrong"],
  [...found].map(([name, pairs]) => [
    name,
    ms(pairs, ({ alone }) => alone.p50Ms).toFixed(1),
    ms(pairs, ({ beside }) => beside.p50Ms).toFixed(1),
    ms(pairs, ({ alone }) => alone.p99Ms).toFixed(1),
    ms(pairs, ({ beside }) => beside.p99Ms).toFixed(1),
    ms(pairs, ({ alone, beside }) => beside.p99Ms / alone.p99Ms).toFixed(2),
    String(
      pairs.reduce(
        (sum, { beside }) => sum + beside.errors.length + beside.wrong,
        0,
      ),
    ),
  ]),
);
const saved = saveResults("neighbours", {
  rounds,
  load: LOAD,
  found: Object.fromEntries(found),
});
console.log(`\nsaved: ${saved}`);
