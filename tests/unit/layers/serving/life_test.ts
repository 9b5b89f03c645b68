import assert from "node:assert/strict";
import fc from "fast-check";
import {
  LayerLife,
  LayerLifeError,
  type LayerStep,
  LIFE,
} from "../../../../lib/layers/serving/life.ts";

const STEPS: readonly LayerStep[] = [
  "share",
  "show",
  "fail",
  "condemn",
  "close",
  "end",
];
const anyOrder = fc.array(fc.constantFrom(...STEPS), { maxLength: 40 });

/** Takes all steps that the table has, and sees to it that the others throw and change nothing. */
function live(
  steps: readonly LayerStep[],
): { life: LayerLife; taken: LayerStep[] } {
  const life = new LayerLife();
  const taken: LayerStep[] = [];
  for (const step of steps) {
    const before = life.state;
    const next = LIFE[before][step];
    if (next === undefined) {
      assert.throws(() => life.take(step), LayerLifeError);
      assert.equal(life.state, before);
    } else {
      life.take(step);
      assert.equal(life.state, next);
      taken.push(step);
    }
  }
  return { life, taken };
}

Deno.test("in whatever order things happen to an open layer, it takes the steps of the table and no other", () => {
  fc.assert(fc.property(anyOrder, (steps) => void live(steps)));
});

Deno.test("a layer that is closing is never served again, and ends once", () => {
  fc.assert(fc.property(anyOrder, anyOrder, (before, after) => {
    const { taken } = live([...before, "close", ...after]);
    assert.equal(taken.filter((step) => step === "close").length, 1);
    const afterClose = taken.slice(taken.indexOf("close") + 1);
    assert.ok(!afterClose.includes("share"));
    assert.ok(afterClose.filter((step) => step === "end").length <= 1);
    const ended = afterClose.indexOf("end");
    if (ended < 0) return;
    assert.ok(!afterClose.slice(ended).includes("condemn"));
  }));
});

Deno.test("a layer whose ztoc was found to lie is given to nobody else, and is still closed in order", () => {
  fc.assert(fc.property(anyOrder, anyOrder, (before, after) => {
    const { taken, life } = live([...before, "condemn", ...after]);
    const condemned = taken.indexOf("condemn");
    if (condemned < 0) return; // was closed before
    assert.ok(!taken.slice(condemned).includes("share"));
    if (life.isServed) {
      life.take("close");
      life.take("end");
      assert.equal(life.state, "closed");
    }
  }));
});

Deno.test("from every state a layer can be closed", () => {
  fc.assert(fc.property(anyOrder, (steps) => {
    const { life } = live(steps);
    if (life.isServed) life.take("close");
    if (life.state === "closing") life.take("end");
    assert.equal(life.state, "closed");
  }));
});
