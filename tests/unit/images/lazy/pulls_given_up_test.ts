import assert from "node:assert/strict";
import { PullsGivenUp } from "../../../../lib/images/lazy/pulls_given_up.ts";

const never = new Promise<never>(() => {});

Deno.test("an image ends when all who waited for it have left, and not before", async () => {
  using pulls = new PullsGivenUp(1);
  const ended = pulls.signal("image");
  const [one, other] = [new AbortController(), new AbortController()];
  const waits = [one, other].map(({ signal }) =>
    pulls.during("image", signal, never)
  );
  one.abort(new Error("left"));
  await assert.rejects(waits[0]!, /left/);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(ended.aborted, false);
  other.abort(new Error("left, too"));
  await assert.rejects(waits[1]!, /left, too/);
  while (!ended.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(pulls.signal("image").aborted, false, "the next pull is new");
});

Deno.test("a request that ended well ends nothing, and one that is repeated in time keeps its image", async () => {
  using pulls = new PullsGivenUp(30);
  const ended = pulls.signal("image");
  const stays = new AbortController().signal;
  assert.equal(await pulls.during("image", stays, Promise.resolve(1)), 1);
  const leaves = new AbortController();
  const waits = pulls.during("image", leaves.signal, never);
  leaves.abort(new Error("again"));
  await assert.rejects(waits, /again/);
  const again = pulls.during("image", stays, never);
  again.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(ended.aborted, false);
});
