/**
 * A healthy image of a healthy registry beside a neighbour that is bad: its containers see no error and
 * no wrong byte, whatever the neighbour does. `deno task neighbours` watches it for longer.
 */
import { KINDS } from "./neighbours/kinds.ts";
import { inWords, NeighbourStage } from "./neighbours/stage.ts";

/** Misses beside each kind. */
const MISSES = 30;
/** Alone: enough that the 99th of a hundred means something, some seconds. */
const MISSES_ALONE = 150;
/** These are like others, and left to the task. */
const LIKE_OTHERS = new Set(["dripping", "digest only, other namespace"]);

Deno.test("containers of a healthy registry do not notice a neighbour whose registry or image is bad", async (t) => {
  await using stage = await NeighbourStage.start({ misses: MISSES });
  const alone = await stage.watch(() => true, MISSES_ALONE);
  console.log(`    alone: ${inWords(alone)}`);
  for (const [name, kind] of Object.entries(KINDS)) {
    if (LIKE_OTHERS.has(name)) continue;
    await t.step(name, () => stage.holdBeside(kind).then(() => {}));
  }
});
