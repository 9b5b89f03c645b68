import assert from "node:assert/strict";
import { Life, LifeError, type Steps } from "../../../../lib/layers/fs/life.ts";
import { WORKER_STEPS } from "../../../../lib/layers/fs/mount_worker.ts";
import { MOUNTS_STEPS } from "../../../../lib/layers/fs/mounts_life.ts";

Deno.test("a life goes by its table, and a step that is not in it throws and changes nothing", () => {
  const life = new Life<"egg" | "hen", "hatch">(
    "a bird",
    { egg: { hatch: "hen" }, hen: {} },
    "egg",
  );
  assert.equal(life.take("hatch"), "egg");
  assert.equal(life.state, "hen");
  assert.throws(
    () => life.take("hatch"),
    new LifeError("a bird", "hen", "hatch"),
  );
  assert.equal(life.state, "hen");
});

/** States that can be reached from one, itself included. */
function reachable<State extends string>(
  steps: Steps<State, string>,
  from: State,
): Set<State> {
  const found = new Set([from]);
  for (const state of found) {
    const next: Partial<Record<string, State>> = steps[state];
    for (const to of Object.values(next)) found.add(to as State);
  }
  return found;
}

Deno.test("a Worker can be ended whatever it is at, and then says nothing that counts", () => {
  for (const state of reachable(WORKER_STEPS, "loading")) {
    assert.equal(WORKER_STEPS[state].end, "ended", state);
  }
  assert.deepEqual([...reachable(WORKER_STEPS, "ended")], ["ended"]);
  assert.equal(
    reachable(WORKER_STEPS, "loading").size,
    Object.keys(WORKER_STEPS).length,
  );
});

Deno.test("mounts that were left to a successor are never closed, and closed ones never served", () => {
  assert.deepEqual([...reachable(MOUNTS_STEPS, "left")], ["left", "retired"]);
  assert.deepEqual([...reachable(MOUNTS_STEPS, "closed")], ["closed"]);
  for (const state of reachable(MOUNTS_STEPS, "silent")) {
    assert.ok(MOUNTS_STEPS[state].close !== undefined, state);
    assert.ok(MOUNTS_STEPS[state].leave !== undefined, state);
  }
});
