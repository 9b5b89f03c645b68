import assert from "node:assert/strict";
import { SharedRounds } from "../../../../lib/host/files/mod.ts";

Deno.test("what is asked for during a round is done together in the next one, and an error is told to its own caller alone", async () => {
  const rounds = new SharedRounds();
  const gate = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  const work = (failure?: Error) => async () => {
    most = Math.max(most, ++running);
    await gate.promise;
    running--;
    if (failure !== undefined) throw failure;
  };
  const first = rounds.run(work());
  await Promise.resolve();
  assert.equal(running, 1);
  const failure = new Error("this one");
  const others = [
    rounds.run(work()),
    rounds.run(work(failure)),
    rounds.run(() => {
      throw failure; // not even begun
    }),
    rounds.run(work()),
  ];
  await Promise.resolve();
  assert.equal(running, 1); // they wait for the round
  gate.resolve();
  await first;
  const outcomes = await Promise.allSettled(others);
  assert.deepEqual(
    outcomes.map((one) => one.status === "rejected" ? one.reason : one.status),
    ["fulfilled", failure, failure, "fulfilled"],
  );
  assert.equal(most, 3); // side by side
  await rounds.run(work()); // the next round is like the first
  assert.equal(running, 0);
});
