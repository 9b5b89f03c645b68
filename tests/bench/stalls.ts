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
import { TarBuilder } from "../support/images/mod.ts";
import { indexed, MemorySource } from "../unit/layers/spans/support.ts";
import { saveResults } from "./results.ts";
import { printMachine, printTable } from "./support.ts";

const FILES = [1000, 3000, 5000, 100_000, 545_000];
const TICK_MS = 1;

/** What a thread has done until now, ms. */
interface ThreadTime {
  /** It ran. */
  readonly ranMs: number;
  /** It ran, or was held up by a disk or a lock: all but its waits for a core. */
  readonly heldMs: number;
}

function threadTime(): ThreadTime {
  const [ran, waited] = Deno.readTextFileSync(
    `/proc/self/task/${Deno.pid}/schedstat`,
  ).split(" ").map(Number);
  return { ranMs: ran! / 1e6, heldMs: performance.now() - waited! / 1e6 };
}

/** Looks all the time whether the main thread has its turns. */
class Watch implements Disposable {
  #longest: ThreadTime = { ranMs: 0, heldMs: 0 };
  #last = threadTime();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#timer = setInterval(() => this.#look(), TICK_MS);
  }

  #look(): void {
    const now = threadTime();
    const { ranMs, heldMs } = this.#longest;
    this.#longest = {
      ranMs: Math.max(ranMs, now.ranMs - this.#last.ranMs),
      heldMs: Math.max(heldMs, now.heldMs - this.#last.heldMs - TICK_MS),
    };
    this.#last = now;
  }

  /** The longest until now of each, between two turns. */
  longest(): ThreadTime {
    this.#look();
    return this.#longest;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

async function ztocOf(files: number): Promise<Uint8Array<ArrayBuffer>> {
  const worker = new Worker(new URL("./stalls_ztoc.ts", import.meta.url), {
    type: "module",
  });
  const { promise, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  worker.onmessage = ({ data }) => resolve(data);
  worker.postMessage(files);
  try {
    return await promise;
  } finally {
    worker.terminate();
  }
}

/** The longest holds while a layer is opened. */
async function opened(store: LayerStore, files: number): Promise<ThreadTime> {
  const blob = { bytes: new Uint8Array(1000 + files) };
  let ztoc: Uint8Array<ArrayBuffer> | null = await ztocOf(files);
  const ztocDigest = sha256(ztoc);
  await pause(500); // the thread that made it is gone
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
  const longest = watch.longest();
  store.release(layer.slot, { discard: true });
  return longest;
}

printMachine();
const folder = Deno.makeTempDirSync({ prefix: "soci-deno-stalls-" });
const found: Record<string, ThreadTime> = {};
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
  ["files", "ran", "ran or blocked"],
  Object.entries(found).map(([files, { ranMs, heldMs }]) => [
    files,
    ranMs.toFixed(1),
    heldMs.toFixed(1),
  ]),
);
console.log(`\nsaved: ${saveResults("stalls", { found })}`);
