/**
 * `deno task test:long`: the full rounds of the campaigns of which the tests run a short one. Takes
 * about two hours, needs root and a quiet machine. Arguments choose some by name:
 * `deno task test:long crash fuzz`. All that are asked for run, whatever the others come to.
 * @module
 */

/** A campaign: a task, and how long its full round is. */
interface Campaign {
  /** Name of the task. */
  readonly task: string;
  readonly args: readonly string[];
}

const CAMPAIGNS: readonly Campaign[] = [
  { task: "crash", args: ["200"] }, // kills
  { task: "eager-kills", args: ["100"] }, // kills
  { task: "faults", args: ["3"] }, // times each fault
  { task: "neighbours", args: ["1000"] }, // misses beside each
  { task: "state", args: [] }, // every file of the state, lost, truncated, flipped
  { task: "writers", args: [] }, // every writer on both faces
  { task: "upstream", args: [] }, // a recent release of the existing tools
  { task: "fuzz", args: ["900"] }, // seconds
  { task: "soak", args: ["30"] }, // minutes
];

const wanted = Deno.args.length > 0
  ? Deno.args
  : CAMPAIGNS.map(({ task }) => task);
for (const name of wanted) {
  if (CAMPAIGNS.some(({ task }) => task === name)) continue;
  const names = CAMPAIGNS.map(({ task }) => task).join(", ");
  console.error(`no campaign ${name}: there are ${names}`);
  Deno.exit(2);
}
const results: string[] = [];
let failed = 0;
for (const { task, args } of CAMPAIGNS) {
  if (!wanted.includes(task)) continue;
  console.log(`\n# ${task} ${args.join(" ")}`);
  const start = performance.now();
  const { success, code } = await new Deno.Command(Deno.execPath(), {
    args: ["task", task, ...args],
    cwd: new URL("../../", import.meta.url).pathname,
  }).spawn().status;
  const minutes = (performance.now() - start) / 60_000;
  results.push(
    `${task.padEnd(10)} ${success ? "held" : `ended with code ${code}`}, ${
      minutes.toFixed(1)
    } min`,
  );
  if (!success) failed++;
}
console.log(`\n${results.join("\n")}`);
Deno.exit(failed === 0 ? 0 : 1);
