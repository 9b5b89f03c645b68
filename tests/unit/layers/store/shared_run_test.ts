import assert from "node:assert/strict";
import { SharedRun } from "../../../../lib/layers/store/shared_run.ts";

Deno.test("who asks while a run is under way shares the next one, which began after they asked", async () => {
  const runs: PromiseWithResolvers<void>[] = [];
  const shared = new SharedRun(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  const first = shared.run();
  const others = [shared.run(), shared.run(), shared.run()];
  assert.equal(runs.length, 1);
  runs[0]!.resolve();
  await first;
  others.push(shared.run()); // before the second begins
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(runs.length, 2);
  let over = false;
  const all = Promise.all(others).then(() => over = true);
  await Promise.resolve();
  assert.equal(over, false, "the first run does not count for them");
  runs[1]!.resolve();
  await all;
  assert.equal(runs.length, 2);
});

Deno.test("a run that fails is told to those it was for, and the next one is begun", async () => {
  let runs = 0;
  const shared = new SharedRun(() =>
    ++runs === 1 ? Promise.reject(new Error("disk")) : Promise.resolve()
  );
  const first = shared.run();
  const second = shared.run();
  await assert.rejects(first, /disk/);
  await second;
  await shared.run();
  assert.equal(runs, 3);
});
