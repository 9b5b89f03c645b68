import assert from "node:assert/strict";
import { HostPace } from "../../../../lib/layers/spans/pace.ts";

/** A host that serves `requests` at a time, with more waiting, for so long. */
function load(
  pace: HostPace,
  startMs: number,
  forMs: number,
  bytesPerMs: (requests: number) => number,
): number {
  let now = startMs;
  pace.begin(now);
  for (; now < startMs + forMs; now += 10) {
    pace.received(bytesPerMs(pace.requests) * 10, true, now);
  }
  pace.end("done", now);
  return now;
}

Deno.test("the rate of a host is learned, and learned anew when it changes", () => {
  const pace = new HostPace();
  assert.equal(pace.bytesPerMs, 0);
  let now = load(pace, 0, 2000, () => 12_500);
  assert.ok(Math.abs(pace.bytesPerMs - 12_500) < 1_500, `${pace.bytesPerMs}`);
  now = load(pace, now, 4000, () => 1_000);
  assert.ok(pace.bytesPerMs < 1_500, `${pace.bytesPerMs}`);
  for (let burst = 0; burst < 100; burst++, now += 100) {
    pace.begin(now);
    pace.received(50_000, false, now + 10);
    pace.end("done", now + 10);
  }
  assert.ok(pace.bytesPerMs > 4_000, `${pace.bytesPerMs}`);
});

Deno.test("more requests run side by side while that makes a host give more, and never too many", () => {
  const pace = new HostPace();
  load(pace, 0, 10_000, (requests) => requests * 1000);
  assert.ok(pace.requests >= 24, `${pace.requests}`);
  assert.ok(pace.requests <= 32);
});

Deno.test("a line that gives no more is not asked by more and more requests", () => {
  const pace = new HostPace();
  let most = 0;
  load(pace, 0, 20_000, () => {
    most = Math.max(most, pace.requests);
    return 12_500;
  });
  assert.ok(most <= 16, `${most}`);
});

Deno.test("failures make room for a host that cannot keep up", () => {
  const pace = new HostPace();
  for (let i = 0; i < 5; i++) {
    pace.begin(i);
    pace.end("failed", i);
  }
  assert.equal(pace.requests, 4);
});
