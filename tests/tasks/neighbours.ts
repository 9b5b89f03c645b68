/**
 * `deno task neighbours [misses] [kind…]`: watches a healthy image beside every kind of bad neighbour for
 * so many misses each (1000 by default), and says what its containers noticed. A long version of the
 * end-to-end test.
 * @module
 */
import { KINDS } from "../e2e/neighbours/kinds.ts";
import { inWords, NeighbourStage } from "../e2e/neighbours/stage.ts";

const [count = "1000", ...wanted] = Deno.args;
const misses = Number(count);
const names = wanted.length > 0 ? wanted : Object.keys(KINDS);
if (
  !Number.isInteger(misses) || misses < 1 ||
  !names.every((name) => name in KINDS)
) {
  console.error(
    `usage: deno task neighbours [misses] [kind…], of ${
      Object.keys(KINDS).map((name) => `"${name}"`).join(", ")
    }`,
  );
  Deno.exit(2);
}
let failed = 0;
{
  await using stage = await NeighbourStage.start({ misses });
  console.log(`alone: ${inWords(await stage.watch())}`);
  for (const name of names) {
    console.log(name);
    try {
      await stage.holdBeside(KINDS[name]!);
    } catch (error) {
      failed++;
      console.log(`  ${error instanceof Error ? error.message : error}`);
    }
  }
}
console.log(`${names.length} kinds, ${failed} noticed`);
Deno.exit(failed === 0 ? 0 : 1);
