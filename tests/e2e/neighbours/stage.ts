/**
 * One node, one healthy image under constant reading, and room for a bad neighbour beside it.
 * @module
 */
import assert from "node:assert/strict";
import { type Digest, sha256 } from "../../../lib/formats/oci/mod.ts";
import { ctrRun, pause } from "../../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../support/images/mod.ts";
import { imageWith } from "../faults/stage.ts";
import { ztocsOf } from "../forged.ts";
import { buildIndex, type DaemonProcess, LazyHost } from "../host.ts";
import { OwnRegistry } from "./own_registry.ts";
import {
  GREEDY_SCRIPT,
  HEALTHY_READER,
  type HealthyReport,
  reportOf,
} from "./reader.ts";

const KiB = 2 ** 10;
const MiB = 2 ** 20;
/** How long a read waits at most on the stage. */
const READ_WAIT_S = 4;
/** The healthy image's data, and what the caches of all images may take together. */
const FILES = 128;
const FILE_BYTES = 192 * KiB;
const BUDGET_BYTES = FILES * FILE_BYTES / 4;
/** Of a greedy neighbour, all read at once: more than may be on its way. */
const GREEDY_FILES = 24;
/** Of all images: a span of the healthy one does not fit into a rest that greedy ones leave. */
const SPAN_SIZE = "2MiB";
/**
 * What containers of neighbours may take of the cores, as a tenant's limit says it: what they compute is not what
 * the stage is about.
 */
export const NEIGHBOURS_CORES = ["--cpus", "0.25"];
/** The healthy one rests when it has ended no file for so long. */
const AT_REST_MS = 300;
/** A thousand misses take some seconds on an idle machine. */
const MISSES_TIMEOUT_MS = 180_000;

const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[blob]
max_read_wait_sec = ${READ_WAIT_S}
[http]
MinWaitMsec = 10
MaxWaitMsec = 500
[cache]
max_bytes = ${BUDGET_BYTES}
`;

/** Somebody else on the node. */
export interface Neighbour extends AsyncDisposable {
  /** Begins to be bad; resolves when it is. */
  spoil(): Promise<void>;
  /** How bad it was seen to be until now, in words; null: nobody has seen it yet. */
  shown(): string | null;
}

/** Brings a neighbour onto a stage. It is well behaved until it is told otherwise. */
export type NeighbourKind = (stage: NeighbourStage) => Promise<Neighbour>;

/** What the healthy one went through. */
export interface Beside extends HealthyReport {
  /** Requests to its registry in that time. */
  readonly misses: number;
  readonly ms: number;
}

/** How the healthy one is watched. */
export interface StageOptions {
  /** Misses that are counted while a neighbour is bad. */
  readonly misses: number;
  /** How many files a second it reads. Default: as many as it can. */
  readonly load?: number | "all it can";
  /** How the daemon's process is started: to profile it, for example. */
  readonly daemon?: DaemonProcess;
}

/** A daemon, a containerd, and a container that reads and hashes files of a healthy registry. */
export class NeighbourStage implements AsyncDisposable {
  readonly #owned: AsyncDisposableStack;
  #neighbours = 0;

  private constructor(
    readonly host: LazyHost,
    /** The healthy one's. */
    readonly registry: OwnRegistry,
    /** The healthy image's, bottom first; the last one has the files that are read. */
    readonly layers: readonly LayerBlob[],
    /** By which they are served. */
    readonly ztocs: ReadonlyMap<Digest, Uint8Array>,
    /** SHA-256 of the healthy image's files, by name, hex. */
    readonly known: Readonly<Record<string, string>>,
    /** A folder that containers see as `/tmp`. */
    readonly control: string,
    /** Misses that are counted while a neighbour is bad. */
    readonly misses: number,
    owned: AsyncDisposableStack,
  ) {
    this.#owned = owned;
  }

  /** Everything is up, and the healthy container has read its first files, when this returns. */
  static async start(
    { misses, load = "all it can", daemon = {} }: StageOptions,
  ): Promise<NeighbourStage> {
    await using owned = new AsyncDisposableStack();
    const registry = owned.use(await OwnRegistry.start());
    const known: Record<string, string> = {};
    const tar = new TarBuilder().dir("data");
    for (let i = 0; i < FILES; i++) {
      const bytes = incompressible(FILE_BYTES, 5000 + i);
      known[`file-${i}`] = sha256(bytes).slice("sha256:".length);
      tar.file(`data/file-${i}`, bytes);
    }
    const healthy = imageWith([layerBlob(tar)]);
    await pushImage(registry.host, "healthy:1", healthy);
    const image = `${registry.host}/healthy:1`;
    await buildIndex(
      ...["--min-layer-size", "0", "--span-size", SPAN_SIZE, image],
    );
    const ztocs = await ztocsOf(registry, "healthy", healthy);
    const control = await Deno.makeTempDir({ prefix: "soci-deno-control-" });
    owned.defer(() => Deno.remove(control, { recursive: true }));
    const host = owned.use(await LazyHost.start({ config: CONFIG, daemon }));
    const stage = new NeighbourStage(
      host,
      registry,
      healthy.layers,
      ztocs,
      known,
      control,
      misses,
      owned.move(),
    );
    try {
      await stage.#startHealthy(image, load);
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  async #startHealthy(
    image: string,
    load: number | "all it can",
  ): Promise<void> {
    const folder = `${this.control}/healthy`;
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/reader.py`, HEALTHY_READER);
    await Deno.writeTextFile(
      `${folder}/known.json`,
      JSON.stringify(this.known),
    );
    const { ended } = await this.#run(image, "healthy", [], [
      ...["/usr/bin/python3", "/tmp/healthy/reader.py", "/data"],
      ...["/tmp/healthy", load === "all it can" ? "0" : String(1 / load)],
    ]);
    this.#owned.defer(async () => {
      await Deno.writeTextFile(`${folder}/end`, "");
      await ended();
    });
    await Deno.writeTextFile(`${folder}/run`, "");
    await until(() => this.#log().length > 10);
  }

  /**
   * Starts a container; returns when it has written `ready` into its folder.
   * @param name of the container and of its folder in `control`, which exists.
   * @param flags further ones of `ctr run`.
   * @returns how it is waited for, or ended at once.
   */
  async #run(
    image: string,
    name: string,
    flags: readonly string[],
    args: readonly string[],
  ): Promise<RunningContainer> {
    const { layers } = await this.host.pull(image);
    assert.ok(
      layers.every(({ outcome }) => outcome === "served"),
      this.host.logs().slice(-3000),
    );
    const id = `${name}-${crypto.randomUUID().slice(0, 8)}`;
    const running = ctrRun(this.host.containerd, {
      image,
      id,
      snapshotter: "soci",
      flags: [
        ...flags,
        "--mount",
        `type=bind,src=${this.control},dst=/tmp,options=rbind:rw`,
      ],
      args: [...args],
      timeoutMs: 600_000,
    });
    let ended: string | null = null;
    running.then(({ code, stderr }) => ended = `code ${code}: ${stderr}`);
    await until(() => {
      assert.equal(ended, null, `${name} ended`);
      return exists(`${this.control}/${name}/ready`);
    });
    return {
      ended: async () => void await running,
      kill: async () => {
        await this.host.containerd.ctr("tasks", "kill", "-s", "SIGKILL", id);
        await running;
      },
    };
  }

  #log(): string[] {
    return Deno.readTextFileSync(`${this.control}/healthy/log`).split("\n")
      .slice(0, -1);
  }

  #missed(): number {
    return this.registry.parts;
  }

  /** Does something while the healthy one reads nothing. */
  async atRest<T>(work: () => Promise<T>): Promise<T> {
    const running = `${this.control}/healthy/run`;
    await Deno.remove(running);
    try {
      const files = () => this.#log().length;
      for (let before = -1; before !== files();) {
        before = files();
        await pause(AT_REST_MS);
      }
      return await work();
    } finally {
      await Deno.writeTextFile(running, "");
    }
  }

  /**
   * Watches the healthy one for so many misses, alone or beside a neighbour.
   * @param isShown what else is waited for. @param misses default: those of the stage.
   */
  async watch(
    isShown: () => boolean = () => true,
    misses = this.misses,
  ): Promise<Beside> {
    const before = this.#log().length;
    const missed = this.#missed();
    const began = performance.now();
    await until(
      () => this.#missed() - missed >= misses && isShown(),
      MISSES_TIMEOUT_MS,
    ).catch(() => {}); // whoever asserts sees the number
    return {
      ...reportOf(this.#log().slice(before)),
      misses: this.#missed() - missed,
      ms: Math.round(performance.now() - began),
    };
  }

  /**
   * Has a neighbour be bad while the healthy one is watched, and holds that the healthy one does not
   * notice: no error, no wrong byte, all the misses.
   */
  async holdBeside(kind: NeighbourKind): Promise<Beside> {
    await using neighbour = await kind(this);
    await neighbour.spoil();
    const seen = await this.watch(() => neighbour.shown() !== null);
    const shown = neighbour.shown();
    console.log(`    ${shown}; healthy: ${inWords(seen)}`);
    assert.ok(shown !== null, "nobody has seen that the neighbour is bad");
    assert.deepEqual(seen.errors, []);
    assert.equal(seen.wrong, 0);
    assert.ok(seen.misses >= this.misses, `${seen.misses} misses`);
    return seen;
  }

  /**
   * A container of another image that wants all of it at once, again and again, from `greedy` on.
   * @param pushHost where its image is pushed. @param pullHost where the daemon finds it.
   */
  async greedy(pushHost: string, pullHost = pushHost): Promise<Greedy> {
    const name = `neighbour-${++this.#neighbours}`;
    const tar = new TarBuilder().dir("data");
    for (let i = 0; i < GREEDY_FILES; i++) {
      const bytes = incompressible(2 * MiB, this.#neighbours * 1000 + i);
      tar.file(`data/file-${i}`, bytes);
    }
    const layers = [greedyPrograms(name), layerBlob(tar)];
    await pushImage(pushHost, `${name}:1`, makeImage({ layers }));
    await buildIndex(
      ...["--min-layer-size", "0", "--span-size", SPAN_SIZE],
      `${pushHost}/${name}:1`,
    );
    return await this.greedyOn(`${pullHost}/${name}:1`);
  }

  /** A container that wants all of an image at once, which has `greedyPrograms` and files in `/data`. */
  async greedyOn(image: string): Promise<Greedy> {
    const name = `greedy-${++this.#neighbours}`;
    const folder = `${this.control}/${name}`;
    await Deno.mkdir(folder);
    await Deno.writeTextFile(`${folder}/greedy.sh`, GREEDY_SCRIPT);
    const { kill } = await this.#run(image, name, NEIGHBOURS_CORES, [
      ...["/bin/sh", `/tmp/${name}/greedy.sh`, `/tmp/${name}`],
    ]);
    return new Greedy(folder, kill);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** What a greedy container runs. */
export function greedyPrograms(name: string): LayerBlob {
  return layerBlob(
    addBusybox(new TarBuilder()).dir("tmp").dir("proc").dir("sys").dir("dev")
      .file("name", name),
  );
}

/** A container that was started. */
interface RunningContainer {
  /** Resolves when it has ended. */
  ended(): Promise<void>;
  /** Ends it, whatever its processes wait for. */
  kill(): Promise<void>;
}

/** What the healthy one went through, in words. */
export function inWords(seen: Beside): string {
  const { files, misses, ms, p50Ms, p99Ms, longestMs, errors, wrong } = seen;
  return `${files} files, ${misses} misses in ${ms} ms, p50 ${p50Ms} ms, p99 ${p99Ms} ms, longest ${longestMs} ms, ${errors.length} errors, ${wrong} wrong`;
}

/** A container that reads as much as it can. */
export class Greedy {
  constructor(
    readonly folder: string,
    readonly kill: () => Promise<void>,
  ) {}

  /** It reads from now on. */
  async go(): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/run`, "");
  }

  /** How many of its reads have failed. */
  errors(): number {
    try {
      return Deno.readTextFileSync(`${this.folder}/errors`).split("\n").length -
        1;
    } catch {
      return 0; // none yet
    }
  }

  /** Ends its container; resolves when that is gone. */
  async end(): Promise<void> {
    await this.kill();
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // not yet
  }
}

/** @throws when it does not come true in time. */
export async function until(
  what: () => boolean,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!what()) {
    if (performance.now() > deadline) throw new Error("it did not come true");
    await pause(20);
  }
}
