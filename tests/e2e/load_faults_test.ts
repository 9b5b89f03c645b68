/**
 * Faults while containers read and hash files: what they see is nothing, a delay, or EIO when a read
 * has waited as long as a read may; never a wrong byte. `deno task faults` tries all of them, larger.
 */
import assert from "node:assert/strict";
import { HostFaults } from "./faults/host_faults.ts";
import { type Fault, judged } from "./faults/outcome.ts";
import { RegistryFaults } from "./faults/registry_faults.ts";

async function holds(t: Deno.TestContext, fault: Fault): Promise<void> {
  await t.step(`${fault.name}: ${fault.allowed} at most`, async () => {
    const outcome = judged(fault, await fault.try());
    console.log(
      `    ${outcome.words}, longest ${Math.round(outcome.longestMs)} ms`,
    );
    assert.deepEqual(outcome.violations, []);
    assert.equal(outcome.wrong, 0);
  });
}

/** Those that are unlike each other; the rest is for the task. */
const HERE =
  /^(registry refuses.*6 s|registry takes|registry gives|wrong bytes.*6 s|bodies too long|wrong Content|401|tokens|signed|certificate|name)/;
const LONG_HERE = /^(registry refuses|wrong bytes)/;

Deno.test("whatever a registry does, containers that read cold files wait and see no wrong byte", async (t) => {
  const names = RegistryFaults.names().filter((name) =>
    HERE.test(name) && (LONG_HERE.test(name) || !name.endsWith(" 6 s"))
  );
  assert.ok(names.length >= 10, names.join());
  await using faults = await RegistryFaults.start(names.length);
  const here = faults.faults.filter(({ name }) => names.includes(name));
  // Last: where an address of a part is refused again and again, layers of that host are taken whole for a
  // while, and the daemon would not meet the next fault.
  const isLast = ({ name }: Fault) => name.startsWith("signed");
  for (const fault of here) if (!isLast(fault)) await holds(t, fault);
  for (const fault of here.filter(isLast)) await holds(t, fault);
});

Deno.test("whatever the machine does, containers wait at most and see no wrong byte", async (t) => {
  await using faults = await HostFaults.start({ containers: 12, cycles: 40 });
  for (const fault of faults.faults) {
    await holds(t, fault);
  }
});
