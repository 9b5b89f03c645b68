/**
 * Asks for a call on another thread while none is free, lets go of its buffer and collects garbage.
 * Prints whether the buffer was collected before the call could begin, and whether it was once it had
 * returned. Run with `--v8-flags=--expose-gc`; the argument is a named pipe.
 * @module
 */
import { callElsewhere } from "../../../../lib/host/os/elsewhere.ts";

/** More than Deno has threads for calls that wait. */
const TAKEN = 600;
const { gc } = globalThis as unknown as { gc: () => void };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let collected = false;
const registry = new FinalizationRegistry(() => {
  collected = true;
});

/** In a frame of its own, so that nothing here keeps the buffer. */
function ask(): Promise<number> {
  const path = new TextEncoder().encode("/no such mount\0");
  registry.register(path, null);
  return callElsewhere("umount2", path, 0);
}

async function collect(): Promise<boolean> {
  for (let round = 0; round < 5; round++) {
    gc();
    await pause(20);
  }
  return collected;
}

const fifo = Deno.args[0] as string;
// An open of a pipe that nobody writes to keeps its thread.
const taken = Array.from({ length: TAKEN }, () => Deno.open(fifo));
await pause(300);
let returned = false;
const result = ask().then((result) => {
  returned = true;
  return result;
});
const during = await collect();
const began = returned;
const writer = Deno.openSync(fifo, { write: true });
const failed = await result < 0;
const after = await collect();
for (const file of await Promise.all(taken)) file.close();
writer.close();
console.log(JSON.stringify({ began, during, failed, after }));
