/**
 * `deno task fuzz [seconds] [target]`: changes good inputs at random and reads them, for 60 seconds
 * when not said, all targets in turns. Prints what was found, and ends with 1 when a promise broke.
 * @module
 */
import { mutate, randomFrom, savedInputs, TARGETS } from "../fuzz/mod.ts";

const CRASHES = new URL("../fuzz/crashes/", import.meta.url);
/** An input that takes longer is a finding too. */
const SLOW_MS = 2000;
const TURN_MS = 500;

const seconds = Number(Deno.args[0] ?? 60);
const only = Deno.args[1];
const seed = Number(
  Deno.args[2] ?? crypto.getRandomValues(new Uint32Array(1))[0],
);
const random = randomFrom(seed);

const runs = TARGETS.filter(({ name }) => only === undefined || name === only)
  .map((target) => ({
    target,
    corpus: [
      ...target.seeds(),
      ...savedInputs(target).map(({ bytes }) => bytes),
    ],
    taken: 0,
    refused: 0,
    found: new Map<string, number>(),
    slowestMs: 0,
  }));
if (runs.length === 0) {
  console.error(`no target ${only}: ${TARGETS.map((t) => t.name).join(", ")}`);
  Deno.exit(2);
}

function peakMb(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(status.match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) / 1024;
}

function keep(run: typeof runs[number], input: Uint8Array, what: string): void {
  const count = run.found.get(what) ?? 0;
  run.found.set(what, count + 1);
  if (count > 0) return; // one of each kind is enough
  Deno.mkdirSync(CRASHES, { recursive: true });
  const name = `${run.target.name}-${run.found.size}-${Date.now()}`;
  Deno.writeFileSync(new URL(name, CRASHES), input);
  console.log(`FOUND ${name}: ${what}`);
}

function once(run: typeof runs[number]): void {
  const { target, corpus } = run;
  let input = mutate(corpus, random);
  if (target.repair !== undefined && random(4) > 0) {
    input = target.repair(input);
  }
  const start = performance.now();
  try {
    run[target.read(input.slice())]++;
  } catch (error) {
    const { stack = "", message } = error as Error;
    const line = stack.split("\n").find((text) => text.includes("/lib/")) ?? "";
    keep(run, input, `${message.split("\n")[0]} ${line.trim()}`);
  }
  const ms = performance.now() - start;
  run.slowestMs = Math.max(run.slowestMs, ms);
  if (ms > SLOW_MS) keep(run, input, `takes over ${SLOW_MS} ms`);
}

console.log(`seed ${seed}, ${seconds} s`);
const end = performance.now() + seconds * 1000;
while (performance.now() < end) {
  for (const run of runs) {
    const turn = Math.min(end, performance.now() + TURN_MS);
    while (performance.now() < turn) once(run);
  }
}
let broken = 0;
for (const { target, taken, refused, found, slowestMs } of runs) {
  broken += found.size;
  console.log(
    `${target.name.padEnd(11)} ${
      String(taken + refused).padStart(8)
    } inputs, ${taken} taken, ${refused} refused, ${found.size} kinds of failure, slowest ${
      slowestMs.toFixed(0)
    } ms`,
  );
}
console.log(`peak memory ${peakMb().toFixed(0)} MB`);
Deno.exit(broken === 0 ? 0 : 1);
