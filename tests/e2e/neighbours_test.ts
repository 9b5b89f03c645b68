/**
 * A healthy image of a healthy registry beside a neighbour that is bad: its containers see no error and
 * no wrong byte, whatever the neighbour does.
 */
import { dripping, hung, lying, unavailable } from "./neighbours/kinds.ts";
import { inWords, NeighbourStage } from "./neighbours/stage.ts";

const KINDS = { hung, dripping, lying, unavailable };

Deno.test("containers of a healthy registry do not notice a neighbour whose registry is bad", async (t) => {
  await using stage = await NeighbourStage.start();
  console.log(`    alone: ${inWords(await stage.watch())}`);
  for (const [name, kind] of Object.entries(KINDS)) {
    await t.step(name, () => stage.holdBeside(kind).then(() => {}));
  }
});
