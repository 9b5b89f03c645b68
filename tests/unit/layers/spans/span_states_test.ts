import fc from "fast-check";
import assert from "node:assert/strict";
import {
  isInFile,
  SPAN_STEPS,
  SpanState,
  SpanStates,
  type SpanStep,
  SpanStepError,
} from "../../../../lib/layers/spans/span_states.ts";

const STEPS = Object.keys(SPAN_STEPS) as SpanStep[];
const STATES = Object.values(SpanState).filter((state) =>
  typeof state === "number"
);

/** Where steps lead from a state. */
function nextOf(state: SpanState): SpanState[] {
  return STEPS.flatMap((step) => SPAN_STEPS[step].get(state) ?? []);
}

/** Where any number of steps leads. */
function reachable(from: SpanState, except?: SpanState): Set<SpanState> {
  const found = new Set<SpanState>([from]);
  for (const state of found) { // grows while it is walked
    for (const next of nextOf(state)) if (next !== except) found.add(next);
  }
  return found;
}

Deno.test("whatever happens in whatever order, a span takes the steps of the table or stays as it was", () => {
  const events = fc.array(
    fc.record({
      span: fc.integer({ min: 0, max: 4 }),
      step: fc.constantFrom(...STEPS),
    }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(events, (events) => {
      const states = new SpanStates(4, (span) => span === 3);
      const seen = [0, 0, 0, SpanState.UNCHECKED];
      for (const { span, step } of events) {
        const from = seen[span];
        const to = from === undefined ? undefined : SPAN_STEPS[step].get(from);
        if (to === undefined) {
          assert.throws(
            () => states.step(span, step),
            (error) =>
              error instanceof SpanStepError && error.span === span &&
              error.from === from && error.step === step,
          );
        } else {
          assert.equal(states.step(span, step), to);
          seen[span] = to;
        }
        assert.deepEqual([0, 1, 2, 3].map((span) => states.at(span)), seen);
        assert.equal(
          states.presentCount,
          seen.filter(isInFile).length,
        );
      }
    }),
  );
});

Deno.test("every state is reached from a missing span or one that an earlier process left, and each but FAILED leads back to it and to a present one", () => {
  assert.deepEqual(
    [...reachable(SpanState.MISSING)].sort((a, b) => a - b),
    STATES.filter((state) =>
      state !== SpanState.UNCHECKED && state !== SpanState.CHECKING
    ),
  );
  for (const state of STATES) {
    const there = reachable(state);
    const back = state !== SpanState.FAILED;
    assert.equal(there.has(SpanState.MISSING), back, SpanState[state]);
    assert.equal(there.has(SpanState.PRESENT), back, SpanState[state]);
  }
});

Deno.test("what is present leaves before it is anything else, and is not fetched before its bytes have gone", () => {
  assert.deepEqual(nextOf(SpanState.PRESENT), [SpanState.LEAVING]);
  for (const state of [SpanState.LEAVING, SpanState.RECALLED]) {
    for (const step of STEPS.filter((step) => step !== "gone")) {
      const next = SPAN_STEPS[step].get(state);
      assert.ok(
        next === undefined || next === SpanState.LEAVING ||
          next === SpanState.RECALLED || next === SpanState.FAILED,
        `${SpanState[state]} ${step}`,
      );
    }
  }
});

Deno.test("nothing is present that was not checked just before, or held since it was", () => {
  for (const from of STATES) {
    if (!nextOf(from).includes(SpanState.PRESENT)) continue;
    assert.ok(
      from === SpanState.INFLATING || from === SpanState.HELD ||
        from === SpanState.CHECKING,
    );
  }
  assert.deepEqual(
    STATES.filter((from) => nextOf(from).includes(SpanState.HELD)),
    [SpanState.INFLATING],
  );
});
