/**
 * `deno task eager-kills [count]`: kills the daemon so many times (100 by default) at random moments of pulls that take
 * an image whole and says what did not hold. A long version of one end-to-end test.
 * @module
 */
import { eagerKills } from "../e2e/eager_kills.ts";

const count = Number(Deno.args[0] ?? 100);
if (!Number.isInteger(count) || count < 1) {
  console.error("usage: deno task eager-kills [count]");
  Deno.exit(2);
}
const { histogram, reader, violations } = await eagerKills(count, (done) => {
  if (done % 10 === 0) console.log(`${done} of ${count}`);
});
for (const [moment, times] of Object.entries(histogram).sort()) {
  console.log(`${moment}: ${times}`);
}
console.log(
  `reader: ${reader.operations} operations, ${reader.failures} failures, longest ${reader.longestMs} ms`,
);
for (const violation of violations) console.log(violation);
const held = violations.length === 0 && reader.failures === 0;
Deno.exit(held ? 0 : 1);
