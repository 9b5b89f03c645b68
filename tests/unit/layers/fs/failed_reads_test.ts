import assert from "node:assert/strict";
import {
  FailedReads,
  WaitingThread,
} from "../../../../lib/layers/fs/failed_reads.ts";
import { pause } from "../../../support/host/mod.ts";

const PAGE = 4096;
const AHEAD = 32 * PAGE;

Deno.test("what was read ahead and failed fails at once page by page, and so does what lies behind it", () => {
  const failed = new FailedReads();
  failed.add(7, AHEAD, 2 * PAGE, true, 2000);
  assert.ok(failed.repeats(7, AHEAD, PAGE, 2001));
  assert.ok(failed.repeats(7, AHEAD + PAGE, PAGE, 2002));
  for (let page = 2; page < 32; page += 2) {
    assert.ok(failed.repeats(7, AHEAD + page * PAGE, 2 * PAGE, 2000 + page));
  }
});

Deno.test("a reader that goes on to another place waits there, however near it is", () => {
  const failed = new FailedReads();
  failed.add(7, AHEAD, AHEAD, true, 2000);
  assert.ok(!failed.repeats(7, 0, AHEAD, 2001));
  assert.ok(!failed.repeats(7, AHEAD - PAGE, PAGE, 2001));
  assert.ok(!failed.repeats(7, 2 * AHEAD + PAGE, PAGE, 2001));
});

Deno.test("another thread waits", () => {
  const failed = new FailedReads();
  failed.add(7, 0, AHEAD, true, 2000);
  assert.ok(!failed.repeats(8, 0, PAGE, 2001));
});

Deno.test("a program that comes back after a rest waits anew, and so does one that never rests", () => {
  const failed = new FailedReads();
  failed.add(7, 0, AHEAD, true, 2000);
  assert.ok(!failed.repeats(7, 0, PAGE, 2050));
  failed.add(7, 0, AHEAD, true, 4050);
  for (let ms = 4050; ms < 5050; ms += 10) {
    assert.ok(failed.repeats(7, 0, PAGE, ms));
  }
  assert.ok(!failed.repeats(7, 0, PAGE, 5050));
});

Deno.test("what was read ahead and fails when its reader has just come to it is not remembered", () => {
  const failed = new FailedReads();
  failed.add(7, 0, AHEAD, false, 2000);
  assert.ok(!failed.repeats(7, 0, PAGE, 2001));
});

Deno.test("other parts of a read that is failing fail with it, for no longer than it does", () => {
  const failed = new FailedReads();
  failed.add(7, 0, PAGE, true, 2000);
  for (let i = 1; i < 25; i++) {
    failed.add(7, 4 * i * PAGE, PAGE, false, 2000 + 40 * i);
    assert.ok(failed.repeats(7, 4 * i * PAGE, PAGE, 2001 + 40 * i));
  }
  failed.add(7, 400 * PAGE, PAGE, false, 3000);
  assert.ok(!failed.repeats(7, 400 * PAGE, PAGE, 3001));
});

Deno.test("a thread that only waits is told from one that goes on meanwhile", async () => {
  const sleeper = async (script: string) => {
    const child = new Deno.Command("python3", {
      args: ["-c", `import time; print(flush=True)\n${script}`],
      stdout: "piped",
    }).spawn();
    const said = child.stdout.getReader();
    await said.read(); // it has come to the script
    await said.cancel();
    return child;
  };
  const waits = await sleeper("time.sleep(20)");
  const goesOn = await sleeper("while True: time.sleep(0.02)");
  await pause(200); // both sleep
  try {
    using first = new WaitingThread(waits.pid);
    using second = new WaitingThread(goesOn.pid);
    using unknown = new WaitingThread(0);
    assert.ok(!first.waitedAllTheTime(), "it was not looked at yet");
    await pause(400);
    assert.ok(first.waitedAllTheTime());
    assert.ok(!second.waitedAllTheTime());
    assert.ok(!unknown.waitedAllTheTime());
    waits.kill("SIGKILL");
    await waits.status;
    assert.ok(!first.waitedAllTheTime(), "it is gone");
  } finally {
    goesOn.kill("SIGKILL");
    await goesOn.status;
  }
});

Deno.test("threads that fail side by side are told apart", () => {
  const failed = new FailedReads();
  const place = (thread: number) => 2 * thread * AHEAD;
  for (let thread = 1; thread <= 64; thread++) {
    failed.add(thread, place(thread), AHEAD, true, 2000);
  }
  for (let thread = 1; thread <= 64; thread++) {
    assert.ok(failed.repeats(thread, place(thread), PAGE, 2010));
    assert.ok(!failed.repeats(thread, place(thread + 1), PAGE, 2010));
  }
});
