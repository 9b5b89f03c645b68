import assert from "node:assert/strict";
import { Turns } from "../../../../lib/layers/opening/turns.ts";

/** Steps that note themselves and take some ms each. */
function* steps(name: string, count: number, order: string[], ms = 5) {
  for (let step = 0; step < count; step++) {
    if (step > 0) yield;
    order.push(`${name}${step}`);
    for (const end = performance.now() + ms; performance.now() < end;);
  }
  return name;
}

Deno.test("one job is done at a time, each share in turn, and others go first between long steps", async () => {
  const turns = new Turns();
  const order: string[] = [];
  const timer = setInterval(() => order.push("other"), 0);
  const results = await Promise.all([
    turns.run("a", () => steps("a", 3, order)),
    turns.run("a", () => steps("b", 1, order)),
    turns.run("c", () => steps("c", 1, order)),
  ]);
  clearInterval(timer);
  assert.deepEqual(results, ["a", "b", "c"]);
  const jobs = order.filter((one) => one !== "other");
  assert.deepEqual(jobs, ["a0", "a1", "a2", "b0", "c0"]);
  assert.ok(
    order.slice(order.indexOf("a0"), order.indexOf("a2"))
      .includes("other"),
    order.join(),
  );
});

Deno.test("a job that throws makes room for the next", async () => {
  const turns = new Turns();
  const failing = turns.run("a", () => {
    throw new Error("no steps");
  });
  const next = turns.run("b", () => steps("b", 1, [], 0));
  await assert.rejects(failing, /no steps/);
  assert.equal(await next, "b");
  assert.equal(await turns.run("b", () => steps("c", 1, [], 0)), "c");
});
