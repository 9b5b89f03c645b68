import assert from "node:assert/strict";
import { warmUpAll } from "../../../../lib/images/warmup/mod.ts";
import { warmUp } from "../../../../lib/images/warmup/warm_up.ts";
import { warmUpRegistry } from "../../../../lib/images/warmup/warm_up_registry.ts";

Deno.test("the made-up registry has an index, so all rounds are run", async () => {
  let rounds = 0;
  await warmUpRegistry(() => ++rounds > 0);
  assert.equal(rounds, 20);
});

Deno.test("a real pull ends the exercise, and nothing of it stays on disk", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-test-" });
  let asked = 0;
  await warmUpRegistry(() => ++asked < 3);
  assert.equal(asked, 3);
  asked = 0;
  await warmUp(`${folder}/scratch`, () => ++asked < 3);
  assert.equal(asked, 3);
  await warmUp(`${folder}/scratch`, () => true);
  assert.deepEqual([...Deno.readDirSync(folder)], []);
  await Deno.remove(folder);
});

Deno.test("the exercise is not begun where it is not wanted any more, and never fails", async () => {
  let asked = 0;
  const options = { address: "/no/such/socket", scratch: "/no/such/folder" };
  await warmUpAll({ ...options, wanted: () => ++asked > 1 });
  assert.equal(asked, 1);
  await warmUpAll({ ...options, wanted: () => true });
});
