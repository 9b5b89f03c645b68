/** Faults of the machine: disk, memory, clock, Workers, containerd; and many at once. @module */
import { ctrRun, leftovers, pause } from "../../support/host/mod.ts";
import { startRegistry } from "../../support/registry/mod.ts";
import {
  isRpcError,
  RpcChannel,
  SnapshotsClient,
} from "../../../lib/remote/containerd/mod.ts";
import { BreakableDisk } from "./disk.ts";
import { MemoryGroup } from "./memory_group.ts";
import { type Fault, type Outcome, outcomeOf } from "./outcome.ts";
import {
  dropCaches,
  publish,
  type Published,
  type Reading,
  Stage,
} from "./stage.ts";

/** How large the large ones are. */
export interface HostFaultSizes {
  /** Containers started at once. */
  readonly containers: number;
  /** Prepare, commit, remove. */
  readonly cycles: number;
}

/** Descriptors and the like that may come and go; a leak in every cycle would be far more. */
const STATE_SLACK = 16;
const PACE = { pauseMs: 20, seconds: 60 };
/** What the daemon may have: little more than it needs to start. */
const MEMORY_BYTES = 160 * 2 ** 20;

/** Everything these faults need. */
export class HostFaults implements AsyncDisposable {
  readonly faults: readonly Fault[];
  readonly #stages = new Map<string, Stage>();

  private constructor(
    readonly published: Published,
    sizes: HostFaultSizes,
    private readonly owned: AsyncDisposableStack,
  ) {
    const fault = (
      name: string,
      allowed: Fault["allowed"],
      trial: () => Promise<Outcome>,
    ): Fault => ({ name, allowed, try: trial });
    this.faults = [
      fault("cache disk is full", "delay", () =>
        this.#failingDisk(
          (disk) => disk.fill(),
          /cannot be written.*(ENOSPC|[Nn]o space)/,
        )),
      fault("cache disk turns read-only", "delay", () =>
        this.#failingDisk(
          (disk) => disk.turnReadOnly(),
          /cannot be written/,
        )),
      fault("cache disk gives I/O errors", "delay", () => this.#brokenDisk()),
      fault(
        `daemon bounded to ${MEMORY_BYTES / 2 ** 20} MiB of memory`,
        "delay",
        () => this.#littleMemory(),
      ),
      fault(
        "inflate Workers break down",
        "delay",
        () => this.#inflateWorkers(),
      ),
      fault("FUSE Worker breaks down", "delay", () => this.#fuseWorker()),
      fault("containerd restarts", "delay", () => this.#containerdRestarts()),
      fault("clock jumps by hours and days", "delay", () => this.#clock()),
      fault(
        `${sizes.containers} containers start at once`,
        "delay",
        () => this.#many(sizes.containers),
      ),
      fault(
        `${sizes.cycles} cycles of prepare, commit, remove`,
        "delay",
        () => this.#cycles(sizes.cycles),
      ),
    ];
  }

  static async start(sizes: HostFaultSizes): Promise<HostFaults> {
    await using stack = new AsyncDisposableStack();
    const registry = stack.use(startRegistry({
      auth: {
        kind: "bearer",
        username: "user",
        password: "secret",
        anonymousPull: true,
      },
    }));
    const response = await fetch(
      `${registry.url}/token?scope=repository:faults:pull,push`,
      { headers: { authorization: `Basic ${btoa("user:secret")}` } },
    );
    const authorization = `Bearer ${(await response.json()).token}`;
    const published = await publish({
      host: registry.host,
      push: { authorization },
      indexFlags: ["--user", "user:secret"],
    }, { layers: 3, filesPerLayer: 60 });
    return new HostFaults(published, sizes, stack.move());
  }

  /** A stage that several faults share; it ends with all of them. */
  async #shared(
    name: string,
    options: NonNullable<Parameters<typeof Stage.start>[1]> = {},
  ): Promise<Stage> {
    let stage = this.#stages.get(name);
    if (stage === undefined || stage.left === 0) {
      stage = this.owned.use(await Stage.start(this.published, options));
      this.#stages.set(name, stage);
    }
    return stage;
  }

  /** Like `#readingOn`, on a stage of its own. */
  async #reading(
    options: NonNullable<Parameters<typeof Stage.start>[1]>,
    during: (stage: Stage, reading: Reading) => Promise<void>,
    judge: (stage: Stage) => readonly string[],
  ): Promise<Outcome> {
    await using stage = await Stage.start(this.published, options);
    return await this.#readingOn(stage, during, judge);
  }

  /** One container reads a fresh layer; `during` begins when it has read a few files. */
  async #readingOn(
    stage: Stage,
    during: (stage: Stage, reading: Reading) => Promise<void>,
    judge: (stage: Stage) => readonly string[] = () => [],
  ): Promise<Outcome> {
    const reading = await stage.read(stage.fresh(), {
      ...PACE,
      clientMayEnd: true,
    });
    await reading.go();
    await reading.reached(3);
    await during(stage, reading);
    const outcome = outcomeOf(await reading.report);
    return { ...outcome, violations: [...outcome.violations, ...judge(stage)] };
  }

  /** The daemon's disk fails while a container reads, and the daemon tells of it. */
  async #failingDisk(
    fail: (disk: BreakableDisk) => Promise<void>,
    told: RegExp,
  ): Promise<Outcome> {
    await using disk = await BreakableDisk.make();
    return await this.#reading(
      { daemon: { root: `${disk.mountpoint}/root` } },
      () => fail(disk),
      ({ host }) =>
        told.test(host.logs()) ? [] : ["the daemon did not meet the fault"],
    );
  }

  async #brokenDisk(): Promise<Outcome> {
    await using disk = await BreakableDisk.make();
    await using stage = await Stage.start(this.published, {
      daemon: { root: `${disk.mountpoint}/root` },
    });
    const layer = stage.fresh();
    const warm = await stage.read(layer, { ...PACE, pauseMs: 0 });
    await warm.go();
    await warm.report; // all of it is in the cache now
    const reading = await stage.read(layer, { ...PACE });
    await dropCaches();
    // All cached file content; what the daemon knows about layers is a few blocks elsewhere.
    await disk.loseBlocks("root/layers/*/[!d]*");
    await reading.go();
    const outcome = outcomeOf(await reading.report);
    return /gives I\/O errors/.test(stage.host.logs()) ? outcome : {
      ...outcome,
      violations: [...outcome.violations, "the daemon did not meet the fault"],
    };
  }

  async #littleMemory(): Promise<Outcome> {
    await using group = new MemoryGroup(MEMORY_BYTES);
    return await this.#reading(
      { daemon: { prefix: group.prefix } },
      async (stage) => {
        const others = await Promise.all(
          [stage.fresh(), stage.fresh()].map((layer) =>
            stage.read(layer, { ...PACE, pauseMs: 0 })
          ),
        );
        for (const other of others) await other.go();
        for (const other of others) {
          const { errors, wrong } = await other.report;
          if (errors.length + wrong.length > 0) {
            throw new Error("another reader saw errors");
          }
        }
      },
      () =>
        // The kernel makes room shortly before, too: then nothing hits the bound.
        group.hits > 0 || group.peakBytes > 0.9 * MEMORY_BYTES
          ? []
          : [`the bound was not met: ${group.peakBytes} bytes`],
    );
  }

  /** A daemon whose Workers can be told to break down. */
  #dying(): Promise<Stage> {
    const preload = new URL("./dying_workers.ts", import.meta.url).pathname;
    return this.#shared("dying", {
      daemon: { denoFlags: ["--preload", preload] },
      // Where the kernel reads directories itself, no name would reach the FUSE Worker.
      face: "fuse",
    });
  }

  async #inflateWorkers(): Promise<Outcome> {
    return await this.#readingOn(
      await this.#dying(),
      async ({ host }) => {
        for (let times = 0; times < 10; times++) {
          Deno.kill(host.pid, "SIGUSR2");
          await pause(50);
        }
      },
      ({ host }) =>
        /a Worker broke down over a span/.test(host.logs())
          ? []
          : ["no Worker broke down over a span"],
    );
  }

  async #fuseWorker(): Promise<Outcome> {
    return await this.#readingOn(
      await this.#dying(),
      async (stage) => {
        for (let times = 0; times < 3; times++) {
          const { code } = await ctrRun(stage.host.containerd, {
            image: stage.image,
            id: `break-down-${crypto.randomUUID()}`,
            snapshotter: "soci",
            // Another name each time: the kernel remembers that there is none.
            args: [
              ...["/bin/busybox", "stat"],
              `/data-1/break-down-${crypto.randomUUID()}`,
            ],
          });
          if (code === 0) throw new Error("a file that is not there was found");
          await pause(200);
        }
      },
      ({ host }) =>
        /Worker broke down: .*told to break down/.test(host.logs())
          ? []
          : ["no Worker broke down"],
    );
  }

  async #containerdRestarts(): Promise<Outcome> {
    return await this.#readingOn(
      await this.#shared("plain"),
      ({ host }) => host.containerd.restart(),
    );
  }

  async #clock(): Promise<Outcome> {
    const clock = await Deno.makeTempFile({ prefix: "soci-deno-clock-" });
    const jump = (toMs: number) => Deno.writeTextFileSync(clock, `${toMs}`);
    jump(0);
    const preload = new URL("./jumping_clock.ts", import.meta.url).pathname;
    const seen: number[] = [];
    try {
      return await this.#reading({
        daemon: {
          denoFlags: ["--preload", preload],
          env: { SOCI_SNAPSHOTTER_TEST_CLOCK: clock },
        },
      }, async ({ host }) => {
        using channel = new RpcChannel({
          socketPath: `${host.folder}/soci.sock`,
          namespace: "default",
        });
        const snapshots = new SnapshotsClient(channel, "soci");
        const top = await topOf(snapshots);
        for (const hours of [2, -24, 30 * 24, -3, 0]) {
          jump(hours * 3_600_000);
          await pause(300);
          const { updatedAt } = await snapshots.updateLabels(top, {
            "soci-deno.test/clock": `${hours}`,
          });
          seen.push(updatedAt?.getTime() ?? NaN);
        }
      }, () => {
        const span = Math.max(...seen) - Math.min(...seen);
        return span > 30 * 86_400_000
          ? []
          : [`the daemon's clock did not jump (${span} ms)`];
      });
    } finally {
      await Deno.remove(clock);
    }
  }

  async #many(count: number): Promise<Outcome> {
    const stage = await this.#shared("plain");
    const layer = stage.fresh();
    const started = performance.now();
    const expected = Object.entries(layer.files).map(([name, sum]) =>
      `${sum}  ${name}`
    ).sort().join("\n");
    const results = await Promise.all(
      Array.from({ length: count }, async (_, number) => {
        const { stdout, stderr } = await ctrRun(stage.host.containerd, {
          image: stage.image,
          id: `many-${number}-${crypto.randomUUID()}`,
          snapshotter: "soci",
          args: [
            "/bin/busybox",
            "sh",
            "-c",
            `cd /${layer.folder} && /bin/busybox sha256sum *`,
          ],
          timeoutMs: 240_000,
        });
        return {
          right: stdout.trim().split("\n").sort().join("\n") === expected,
          stderr,
        };
      }),
    );
    const failed = results.filter(({ right }) => !right);
    const ms = Math.round(performance.now() - started);
    return {
      seen: "delay",
      words: `a delay: all had read ${
        Object.keys(layer.files).length
      } files after ${(ms / 1000).toFixed(1)} s`,
      longestMs: ms,
      wrong: failed.length,
      violations: failed.slice(0, 3).map(({ stderr }) =>
        `a container failed: ${stderr}`
      ),
    };
  }

  async #cycles(count: number): Promise<Outcome> {
    const stage = await this.#shared("plain");
    const reading = await stage.read(stage.fresh(), {
      pauseMs: 20,
      seconds: 60,
    });
    const { host } = stage;
    const before = await state(host.pid, host.root);
    // By way of containerd: it removes what its snapshotters have and it does not know.
    using channel = new RpcChannel({
      socketPath: host.containerd.address,
      namespace: "default",
    });
    const snapshots = new SnapshotsClient(channel, "soci");
    const kept = {
      labels: { "containerd.io/gc.root": new Date().toISOString() },
    };
    const top = await topOf(snapshots);
    await reading.go();
    let longestMs = 0;
    const violations: string[] = [];
    for (let cycle = 0; cycle < count; cycle++) {
      const started = performance.now();
      await snapshots.prepare(`cycle-${cycle}`, top, kept);
      await snapshots.commit(`committed-${cycle}`, `cycle-${cycle}`, kept);
      try {
        await snapshots.prepare("twice", `committed-${cycle}`, kept);
        await snapshots.prepare("twice", `committed-${cycle}`, kept);
        violations.push("a key was prepared twice");
      } catch (error) {
        if (!isRpcError(error, "ALREADY_EXISTS")) throw error;
      }
      await snapshots.remove("twice");
      await snapshots.remove(`committed-${cycle}`);
      longestMs = Math.max(longestMs, performance.now() - started);
    }
    const outcome = outcomeOf(await reading.report);
    const after = await state(host.pid, host.root);
    for (const what of ["descriptors", "mounts", "folders"] as const) {
      if (after[what] > before[what] + STATE_SLACK) {
        violations.push(
          `${what}: ${before[what]} before, ${after[what]} after`,
        );
      }
    }
    return {
      ...outcome,
      words: `${outcome.words}; a cycle took at most ${
        longestMs.toFixed(0)
      } ms`,
      violations: [...outcome.violations, ...violations],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.owned.disposeAsync();
  }
}

/** The last snapshot of an image's layers. */
async function topOf(snapshots: SnapshotsClient): Promise<string> {
  let top = "";
  for await (const { name, kind } of snapshots.list()) {
    if (kind === "committed" && name.includes("sha256:")) {
      top = name;
    }
  }
  if (top === "") throw new Error("there is no layer's snapshot");
  return top;
}

/** What must not grow. */
function state(pid: number, root: string) {
  const count = (folder: string) => [...Deno.readDirSync(folder)].length;
  return Promise.resolve({
    descriptors: count(`/proc/${pid}/fd`),
    mounts: leftovers(root).mounts.length,
    folders: count(`${root}/snapshotter/snapshots`),
  });
}
