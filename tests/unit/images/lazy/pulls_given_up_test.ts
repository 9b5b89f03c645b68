import assert from "node:assert/strict";
import { PullsGivenUp } from "../../../../lib/images/lazy/pulls_given_up.ts";

const never = new Promise<never>(() => {});
const LONG_MS = 600_000;

/** Waits until an image's downloads are ended. */
async function ending(ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

Deno.test("an image ends when all who waited for it have left, and not before", async () => {
  using pulls = new PullsGivenUp({
    ...{ givenUp: 1, shown: LONG_MS, unpacked: LONG_MS },
  });
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
  await ending(ended);
  assert.equal(pulls.signal("image").aborted, false, "the next pull is new");
});

Deno.test("a request that ended well ends nothing at once, and one that is repeated in time keeps its image", async () => {
  using pulls = new PullsGivenUp({
    ...{ givenUp: 30, shown: LONG_MS, unpacked: LONG_MS },
  });
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

Deno.test("a pull that is killed between two requests ends after a while, a longer one where containerd unpacks the layer", async () => {
  const stays = new AbortController().signal;
  {
    using pulls = new PullsGivenUp({
      ...{ givenUp: LONG_MS, shown: 1, unpacked: LONG_MS },
    });
    const shown = pulls.signal("shown");
    const left = pulls.signal("left to containerd");
    const failing = Promise.reject(new Error("no archive of ours"));
    await assert.rejects(
      pulls.during("left to containerd", stays, failing),
      /no archive/,
    );
    await pulls.during("shown", stays, Promise.resolve());
    await ending(shown);
    assert.equal(left.aborted, false, "containerd may take its time");
    assert.equal(pulls.signal("shown").aborted, false, "the next pull is new");
  }
  using pulls = new PullsGivenUp({
    ...{ givenUp: LONG_MS, shown: LONG_MS, unpacked: 1 },
  });
  const left = pulls.signal("left to containerd");
  const failing = Promise.reject(new Error("no archive of ours"));
  await assert.rejects(
    pulls.during("left to containerd", stays, failing),
    /no archive/,
  );
  await ending(left);
});

Deno.test("the next request of a pull keeps its downloads", async () => {
  using pulls = new PullsGivenUp({
    ...{ givenUp: 1, shown: 1, unpacked: 1 },
  });
  const stays = new AbortController().signal;
  const ended = pulls.signal("image");
  await pulls.during("image", stays, Promise.resolve());
  const next = pulls.during("image", stays, never);
  next.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(ended.aborted, false);
});
