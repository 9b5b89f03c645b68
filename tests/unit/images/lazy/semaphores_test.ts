import fc from "fast-check";
import assert from "node:assert/strict";
import { FairSemaphore } from "../../../../lib/images/lazy/fair_semaphore.ts";
import { KeyedSemaphores } from "../../../../lib/images/lazy/keyed_semaphores.ts";

const never = () => new Promise<void>(() => {});
const turns = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("work that never ends inside one semaphore keeps nobody waiting at another", async () => {
  const semaphores = new KeyedSemaphores(2);
  for (let i = 0; i < 10; i++) semaphores.run("hung", 1, never);
  for (let i = 0; i < 10; i++) {
    assert.equal(await semaphores.run("well", 1, () => Promise.resolve(i)), i);
  }
});

Deno.test("inside one semaphore work waits for its turn, whatever became of what went before", async () => {
  const semaphores = new KeyedSemaphores(1);
  const first = semaphores.run(
    "a",
    1,
    () => Promise.reject(new Error("failed")),
  );
  const second = semaphores.run("a", 1, () => Promise.resolve("done"));
  await assert.rejects(first, /failed/);
  assert.equal(await second, "done");
});

Deno.test("whoever fills a fair semaphore for good leaves room for others, and what is too heavy goes in alone", async () => {
  const semaphore = new FairSemaphore(100);
  for (let i = 0; i < 9; i++) semaphore.run("hung", 30, never);
  assert.equal(
    await semaphore.run("well", 30, () => Promise.resolve("in")),
    "in",
  );
  let heavy = "waits";
  semaphore.run("heavy", 300, () => Promise.resolve(heavy = "in"));
  await turns();
  assert.equal(heavy, "waits");
  const other = new FairSemaphore(100);
  assert.equal(await other.run("heavy", 300, () => Promise.resolve(1)), 1);
});

Deno.test("whatever comes to a fair semaphore, all of it gets in as long as what is inside ends", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          key: fc.constantFrom("a", "b", "c"),
          weight: fc.integer({ min: 1, max: 200 }),
        }),
        {
          maxLength: 30,
        },
      ),
      async (works) => {
        const semaphore = new FairSemaphore(100);
        let inside = 0;
        let weightInside = 0;
        await Promise.all(
          works.map(({ key, weight }) =>
            semaphore.run(key, weight, async () => {
              inside++;
              weightInside += weight;
              assert.ok(weightInside < 150 || inside === 1, `${weightInside}`);
              await turns();
              inside--;
              weightInside -= weight;
            })
          ),
        );
      },
    ),
    { numRuns: 50 },
  );
});
