import assert from "node:assert/strict";
import { FailedReads } from "../../../lib/layerfs/failed_reads.ts";

const PAGE = 4096;
const AHEAD = 32 * PAGE;

Deno.test("what was read ahead and failed fails at once page by page, and so does what lies behind it", () => {
  const failed = new FailedReads();
  failed.add(7, AHEAD, 2 * PAGE, 0, 2000);
  assert.ok(failed.repeats(7, AHEAD, PAGE, 2001));
  assert.ok(failed.repeats(7, AHEAD + PAGE, PAGE, 2002));
  for (let page = 2; page < 32; page += 2) {
    assert.ok(failed.repeats(7, AHEAD + page * PAGE, 2 * PAGE, 2000 + page));
  }
});

Deno.test("a reader that goes on to another place waits there, however near it is", () => {
  const failed = new FailedReads();
  failed.add(7, AHEAD, AHEAD, 0, 2000);
  assert.ok(!failed.repeats(7, 0, AHEAD, 2001));
  assert.ok(!failed.repeats(7, AHEAD - PAGE, PAGE, 2001));
  assert.ok(!failed.repeats(7, 2 * AHEAD + PAGE, PAGE, 2001));
});

Deno.test("another thread waits, and one that is unknown", () => {
  const failed = new FailedReads();
  failed.add(7, 0, AHEAD, 0, 2000);
  failed.add(0, 0, AHEAD, 0, 2000);
  assert.ok(!failed.repeats(8, 0, PAGE, 2001));
  assert.ok(!failed.repeats(0, 0, PAGE, 2001));
});

Deno.test("a program that comes back after a rest waits anew, and so does one that never rests", () => {
  const failed = new FailedReads();
  failed.add(7, 0, AHEAD, 0, 2000);
  assert.ok(!failed.repeats(7, 0, PAGE, 2050));
  failed.add(7, 0, AHEAD, 2050, 4050);
  for (let ms = 4050; ms < 5050; ms += 10) {
    assert.ok(failed.repeats(7, 0, PAGE, ms));
  }
  assert.ok(!failed.repeats(7, 0, PAGE, 5050));
});

Deno.test("a read that failed at once is asked for again when it is repeated", () => {
  const failed = new FailedReads();
  failed.add(7, 0, AHEAD, 1001, 2000);
  assert.ok(!failed.repeats(7, 0, PAGE, 2000));
});

Deno.test("threads that fail side by side are told apart", () => {
  const failed = new FailedReads();
  const place = (thread: number) => 2 * thread * AHEAD;
  for (let thread = 1; thread <= 64; thread++) {
    failed.add(thread, place(thread), AHEAD, 0, 2000);
  }
  for (let thread = 1; thread <= 64; thread++) {
    assert.ok(failed.repeats(thread, place(thread), PAGE, 2010));
    assert.ok(!failed.repeats(thread, place(thread + 1), PAGE, 2010));
  }
});
