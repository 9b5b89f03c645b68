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

Deno.test("as many requests are enough as hide the time to the first byte, whatever this machine adds to it", () => {
  const paceOf = (firstByteMs: number, bytes: number) => {
    const pace = new HostPace();
    load(pace, 0, 2000, () => 12_500);
    pace.firstByte(bytes, firstByteMs, 0);
    for (let i = 1; i < 20; i++) pace.firstByte(bytes, firstByteMs * 9, i);
    return pace.enough;
  };
  assert.equal(paceOf(1, 2 * 2 ** 20), 2); // near, large pieces
  assert.ok(paceOf(100, 2 ** 18) >= 5, "far, small pieces");
  assert.ok(paceOf(100, 2 ** 12) <= 32);
  const unknown = new HostPace();
  assert.equal(unknown.enough, unknown.requests);
});

Deno.test("a host that has moved far away is seen to be far after a while", () => {
  const pace = new HostPace();
  load(pace, 0, 2000, () => 12_500);
  pace.firstByte(2 ** 18, 1, 0);
  assert.equal(pace.enough, 2);
  for (let at = 0; at <= 30_000; at += 1000) pace.firstByte(2 ** 18, 100, at);
  assert.ok(pace.enough >= 5, `${pace.enough}`);
});
