/**
 * `deno task faults [times]`: tries every fault so many times (1 by default) while real containers read
 * and hash files, and prints what they saw. A long version of the end-to-end tests.
 * @module
 */
import { HostFaults } from "../e2e/faults/host_faults.ts";
import { type Fault, FaultTable, judged } from "../e2e/faults/outcome.ts";
import { RegistryFaults } from "../e2e/faults/registry_faults.ts";

const times = Number(Deno.args[0] ?? 1);
if (!Number.isInteger(times) || times < 1) {
  console.error("usage: deno task faults [times]");
  Deno.exit(2);
}
const table = new FaultTable();
const violations: string[] = [];

async function tryAll(faults: readonly Fault[]): Promise<void> {
  for (const fault of faults) {
    for (let time = 0; time < times; time++) {
      const outcome = judged(fault, await fault.try());
      table.add(fault, outcome);
      console.log(`${fault.name}: ${outcome.words}`);
      for (const violation of outcome.violations) {
        violations.push(`${fault.name}: ${violation}`);
        console.log(`  ${violation}`);
      }
    }
  }
}

{
  await using host = await HostFaults.start({ containers: 50, cycles: 1000 });
  await tryAll(host.faults);
}
{
  const { names, start } = RegistryFaults;
  await using registry = await start(names().length * times);
  await tryAll(registry.faults);
}
console.log(`\n${table}\n`);
for (const violation of violations) console.log(violation);
Deno.exit(violations.length === 0 ? 0 : 1);
