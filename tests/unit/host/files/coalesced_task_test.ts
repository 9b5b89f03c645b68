import assert from "node:assert/strict";
import { CoalescedTask } from "../../../../lib/host/files/coalesced_task.ts";

Deno.test("calls during a run share the next run, which begins after them", async () => {
  const runs: PromiseWithResolvers<void>[] = [];
  const task = new CoalescedTask(() => {
    const run = Promise.withResolvers<void>();
    runs.push(run);
    return run.promise;
  });
  const first = task.run();
  const others = [task.run(), task.run(), task.run()];
  assert.equal(runs.length, 1);
  runs[0]!.resolve();
  await first;
  others.push(task.run()); // before the second begins
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

Deno.test("a run that fails rejects only its own callers, and the next run begins", async () => {
  let runs = 0;
  const task = new CoalescedTask(() =>
    ++runs === 1 ? Promise.reject(new Error("disk")) : Promise.resolve()
  );
  const first = task.run();
  const second = task.run();
  await assert.rejects(first, /disk/);
  await second;
  await task.run();
  assert.equal(runs, 3);
});
