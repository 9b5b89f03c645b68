/**
 * `deno task crash [count]`: kills the daemon so many times (200 by default) at random moments under
 * load and says what did not hold afterwards. A long version of one end-to-end test.
 * @module
 */
import { crash } from "../e2e/crash.ts";

const count = Number(Deno.args[0] ?? 200);
if (!Number.isInteger(count) || count < 1) {
  console.error("usage: deno task crash [count]");
  Deno.exit(2);
}
const started = performance.now();
const outcome = await crash(count, (done) => {
  if (done % 20 < 2) console.log(`${done} of ${count}`);
});
console.log(
  `${outcome.crashes} crashes (${outcome.whileStarting} while starting, ${outcome.whileTakingOver} while taking over) in ${
    Math.round((performance.now() - started) / 1000)
  } s, ${outcome.acknowledged} acknowledged changes, ${outcome.spansCompared} present spans compared`,
);
for (const { operations, failures, longestMs } of outcome.readers) {
  console.log(
    `reader: ${operations} operations, ${failures} failures, longest ${longestMs} ms`,
  );
}
for (const violation of outcome.violations) console.log(violation);
Deno.exit(outcome.violations.length === 0 ? 0 : 1);
