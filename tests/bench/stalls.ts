/**
 * `deno task bench:stalls`: for how long at a time opening a layer holds the main thread, which meanwhile answers
 * nobody. What is waited for a core does not count, so the figures hold on a busy machine.
 *
 * A layer is opened by a ztoc of so many files, from its bytes to a layer that is served.
 * @module
 */
import { encodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { LayerStore } from "../../lib/layers/serving/mod.ts";
import { longZtoc, TarBuilder } from "../support/images/mod.ts";
import { indexed, MemorySource } from "../unit/layers/spans/support.ts";
import { saveResults } from "./results.ts";
import { printMachine, printTable } from "./support.ts";

const FILES = [1000, 3000, 5000, 100_000, 545_000];
const TICK_MS = 1;

/** How long the thread has run or been held up by a disk, without its waits for a core, ms. */
function threadMs(): number {
  const [, waited] = Deno.readTextFileSync(
    `/proc/self/task/${Deno.pid}/schedstat`,
  ).split(" ").map(Number);
  return performance.now() - waited! / 1e6;
}

/** Looks all the time whether the main thread has its turns. */
class Watch implements Disposable {
  #longestMs = 0;
  #last = threadMs();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#timer = setInterval(() => this.#look(), TICK_MS);
  }

  #look(): void {
    const now = threadMs();
    this.#longestMs = Math.max(this.#longestMs, now - this.#last - TICK_MS);
    this.#last = now;
  }

  /** The longest hold until now, ms. */
  longest(): number {
    this.#look();
    return this.#longestMs;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The longest hold while a layer is opened, ms. */
async function opened(store: LayerStore, files: number): Promise<number> {
  const blob = { bytes: new Uint8Array(1000 + files) };
  let ztoc: Uint8Array<ArrayBuffer> | null = longZtoc(files, blob);
  const ztocDigest = sha256(ztoc);
  await pause(500); // what made the ztoc is collected
  using watch = new Watch();
  const adding = store.add(
    sha256(blob.bytes),
    ztoc,
    new MemorySource(blob.bytes),
    null,
    { ztocDigest },
  );
  ztoc = null;
  const layer = await adding;
  await layer.shown;
  await pause(50);
  const ms = watch.longest();
  store.release(layer.slot, { discard: true });
  return ms;
}

printMachine();
const folder = Deno.makeTempDirSync({ prefix: "soci-deno-stalls-" });
const found: Record<string, number> = {};
try {
  await using store = await LayerStore.open({
    root: `${folder}/root`,
    mountDirectory: `${folder}/mounts`,
    face: "fuse",
    maxOpeningBytes: 2 ** 32,
  });
  // The first ones, whose code runs first, do not count: the daemon warms up before it is asked.
  const first = encodeZtoc(
    indexed(new TarBuilder().file("file", "text"), 64 * 1024).ztoc,
  );
  const source = new MemorySource(new Uint8Array(1000));
  await (await store.add(sha256(first), first, source, null)).shown;
  for (const files of FILES) {
    await opened(store, files);
    found[files] = await opened(store, files);
  }
} finally {
  Deno.removeSync(folder, { recursive: true });
}
printTable(
  "The longest hold of the main thread while a layer is opened, ms",
  ["files", "ms"],
  Object.entries(found).map(([files, ms]) => [files, ms.toFixed(1)]),
);
console.log(`\nsaved: ${saveResults("stalls", { found })}`);
