/** A daemon that is killed at random moments under load, and what must hold afterwards. @module */
import { DatabaseSync } from "node:sqlite";
import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import {
  isRpcError,
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import { chainIdOf } from "../../lib/remote/image/chain.ts";
import type { Digest } from "../../lib/formats/oci/mod.ts";
import { decodeZtoc, spanTable } from "../../lib/formats/ztoc/mod.ts";
import {
  leftovers,
  pause,
  run,
  type Service,
  sociDenoCommand,
  startService,
} from "../support/host/mod.ts";
import {
  addBusybox,
  checkedLayer,
  CHECKER,
  type CheckReport,
  type Image,
  layerBlob,
  makeImage,
  pushImage,
  readCheckReport,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, sociDeno } from "./host.ts";

/** What {@linkcode crash} found. */
export interface CrashOutcome {
  readonly crashes: number;
  /** How many of them came before the daemon served. */
  readonly whileStarting: number;
  /** How many came while one daemon took over from another; both were killed. */
  readonly whileTakingOver: number;
  /** Prepares, commits and removals that were acknowledged. */
  readonly acknowledged: number;
  /** Present spans that were compared with the tar. */
  readonly spansCompared: number;
  readonly readers: readonly CheckReport[];
  /** Everything that should not be; empty when all held. */
  readonly violations: readonly string[];
}

type Presence = "there" | "gone" | "unknown";

/** A span map ends with a checksum and a word for each span; 0 is missing (`lib/layers/spans/map_file.ts`). */
const MARK_BYTES = 8;
const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
silence_period_msec = 1
`;
/** Layers that are pulled and removed again and again. */
const CHURNED_IMAGES = 3;

/** Kills the daemon `count` times. */
export async function crash(
  count: number,
  onCrash: (done: number) => void = () => {},
): Promise<CrashOutcome> {
  await using registry = startRegistry();
  const images: PulledImage[] = [];
  for (let i = 0; i <= CHURNED_IMAGES; i++) {
    images.push(await publish(registry.host, i));
  }
  await using trial = await CrashTrial.start(images);
  await trial.run(count, onCrash);
  return await trial.outcome();
}

/** An image in the registry, with what Prepare is told of its layers. */
interface PulledImage {
  readonly name: string;
  readonly image: Image;
  readonly chainIds: readonly string[];
}

async function publish(host: string, seed: number): Promise<PulledImage> {
  const image = makeImage({
    layers: [
      layerBlob(
        addBusybox(new TarBuilder()).file("which", `image ${seed}`),
      ),
      checkedLayer(
        seed === 0
          ? { seed: 1, large: 24, small: 80 }
          : { seed: seed * 100, large: 8, small: 20 },
      ),
    ],
  });
  await pushImage(host, `crash-${seed}:1`, image);
  const name = `${host}/crash-${seed}:1`;
  await buildIndex("--min-layer-size", "0", "--span-size", "64KiB", name);
  const chainIds: Digest[] = [];
  for (const { diffId } of image.layers) {
    chainIds.push(chainIdOf(chainIds.at(-1) ?? "", diffId));
  }
  return { name, image, chainIds };
}

class CrashTrial implements AsyncDisposable {
  readonly violations: string[] = [];
  readonly #known = new Map<string, Presence>();
  readonly #tars = new Map<string, Uint8Array>();
  readonly #readers: {
    child: Deno.ChildProcess;
    output: Promise<Deno.CommandOutput>;
  }[] = [];
  #reports: CheckReport[] = [];
  #daemon: Service | null = null;
  #holder = 0;
  /** A successor's socket is another one, and so is its holder. */
  #holderMayChange = false;
  #crashes = 0;
  #whileStarting = 0;
  #whileTakingOver = 0;
  #acknowledged = 0;
  #spansCompared = 0;
  #cycle = 0;

  private constructor(
    readonly folder: string,
    readonly images: readonly PulledImage[],
  ) {
    for (const { image } of images) {
      for (const { digest, bytes } of image.layers) {
        this.#tars.set(digest, gunzipSync(bytes));
      }
    }
  }

  static async start(images: readonly PulledImage[]): Promise<CrashTrial> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-crash-" });
    await Deno.writeTextFile(`${folder}/config.toml`, CONFIG);
    await Deno.writeTextFile(`${folder}/check.py`, CHECKER);
    const trial = new CrashTrial(folder, images);
    try {
      await trial.#startDaemon();
      const [fixed] = images;
      await trial.#pull(trial.#client().snapshots, fixed!);
      await trial.#startReaders(fixed!);
      trial.#holder = trial.#holderPid();
    } catch (error) {
      await trial[Symbol.asyncDispose]();
      throw error;
    }
    return trial;
  }

  get #root(): string {
    return `${this.folder}/root`;
  }

  #log(): string {
    try {
      return Deno.readTextFileSync(`${this.folder}/log`);
    } catch {
      return ""; // nothing yet
    }
  }

  /** @param readiness `spawned`: returns at once. */
  async #startDaemon(readiness: "serving" | "spawned" = "serving") {
    this.#daemon = await this.#spawn(readiness);
  }

  async #spawn(
    readiness: "serving" | "spawned",
    ...flags: string[]
  ): Promise<Service> {
    const starts = () => this.#log().split('"serving"').length;
    const before = starts();
    return await startService({
      ...sociDenoCommand(
        ...["serve", "--address", `${this.folder}/s`, "--root", this.#root],
        ...["--config", `${this.folder}/config.toml`, ...flags],
      ),
      logFile: `${this.folder}/log`,
      ready: () => readiness === "spawned" || starts() > before,
      readyTimeoutMs: 60_000,
    });
  }

  /** Kills both daemons at any moment of a takeover, in either order. */
  async #killTakingOver(): Promise<void> {
    const successor = await this.#spawn("spawned", "--takeover");
    this.#holderMayChange = true;
    const both = [successor, this.#daemon!];
    if (Math.random() < 0.5) both.reverse();
    await pause(200 + Math.random() * 1200);
    for (const daemon of both) {
      daemon.kill("SIGKILL");
      await daemon.ended;
      await pause(Math.random() * 400);
    }
    this.#daemon = null;
    this.#crashes++;
    this.#whileTakingOver++;
  }

  async #kill(): Promise<void> {
    this.#daemon?.kill("SIGKILL");
    await this.#daemon?.ended;
    this.#daemon = null;
    this.#crashes++;
  }

  #client() {
    const channel = new RpcChannel({
      socketPath: `${this.folder}/s`,
      namespace: "default",
    });
    return {
      snapshots: new SnapshotsClient(channel, "soci"),
      [Symbol.dispose]: () => channel.close(),
    };
  }

  /** Crashes again and again; checks after each. */
  async run(count: number, onCrash: (done: number) => void): Promise<void> {
    while (this.#crashes < count && this.violations.length < 20) {
      {
        using client = this.#client();
        let going = true;
        const churning = this.#churn(client.snapshots, () => going);
        await pause(20 + Math.random() * 600);
        if (Math.random() < 0.15) await this.#killTakingOver();
        else await this.#kill();
        going = false;
        await churning;
      }
      this.#compareSpans();
      while (Math.random() < 0.2 && this.#crashes < count) {
        await this.#startDaemon("spawned");
        await pause(Math.random() * 700);
        await this.#kill();
        this.#whileStarting++;
      }
      await this.#startDaemon();
      using client = this.#client();
      await this.#checkState(client.snapshots);
      onCrash(this.#crashes);
    }
  }

  /** Pulls, uses and removes images until the daemon is gone. */
  async #churn(
    snapshots: SnapshotsClient,
    going: () => boolean,
  ): Promise<void> {
    try {
      while (going()) {
        const at = 1 + (this.#cycle++ % CHURNED_IMAGES);
        const image = this.images[at]!;
        const top = image.chainIds.at(-1)!;
        await this.#pull(snapshots, image);
        const container = `container-${at}`;
        if (this.#known.get(container) !== "there") {
          await this.#change(
            container,
            "there",
            () => snapshots.prepare(container, top),
          );
        }
        if (Math.random() < 0.6) {
          await this.#change(
            container,
            "gone",
            () => snapshots.remove(container),
          );
          for (const chainId of image.chainIds.toReversed()) {
            await this.#change(
              chainId,
              "gone",
              () => snapshots.remove(chainId),
            );
          }
        }
      }
    } catch (error) {
      if (!isRpcError(error, "UNAVAILABLE", "CANCELLED", "INTERNAL")) {
        this.violations.push(`a call failed: ${error}`);
      }
    }
  }

  async #pull(snapshots: SnapshotsClient, pulled: PulledImage) {
    const { image, name, chainIds } = pulled;
    for (const [i, { digest }] of image.layers.entries()) {
      const chainId = chainIds[i]!;
      if (this.#known.get(chainId) === "there") continue;
      await this.#change(chainId, "there", async () => {
        const key = `extract-${crypto.randomUUID()}`;
        try {
          await snapshots.prepare(key, chainIds[i - 1] ?? "", {
            labels: {
              "containerd.io/snapshot.ref": chainId,
              "containerd.io/snapshot/cri.image-ref": name,
              "containerd.io/snapshot/cri.manifest-digest": image.digest,
              "containerd.io/snapshot/cri.layer-digest": digest,
            },
          });
          this.violations.push(`layer ${digest} was not served`);
        } catch (error) {
          if (!isRpcError(error, "ALREADY_EXISTS")) throw error;
        }
      });
    }
  }

  /** One change; until it is acknowledged nobody knows whether it was made. */
  async #change(
    name: string,
    to: "there" | "gone",
    call: () => Promise<unknown>,
  ): Promise<void> {
    this.#known.set(name, "unknown");
    await call();
    this.#known.set(name, to);
    this.#acknowledged++;
  }

  async #startReaders({ chainIds, image }: PulledImage): Promise<void> {
    using metadata = new Database(`${this.#root}/snapshotter/metadata.db`);
    const directory = (chainId: string) =>
      String(
        metadata.all(
          "SELECT layer_directory AS d FROM snapshots WHERE name = ?",
          chainId,
        )[0]?.d,
      );
    const lower = chainIds.map(directory);
    const merged = `${this.folder}/merged`;
    await Deno.mkdir(merged);
    await run("mount", [
      ...["-t", "overlay", "overlay", merged],
      ...["-o", `lowerdir=${lower.toReversed().join(":")}`],
    ], { timeoutMs: 10_000 });
    void image;
    for (const root of [merged, lower.at(-1)!]) {
      const child = new Deno.Command("python3", {
        args: [`${this.folder}/check.py`, root, "100000"],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      this.#readers.push({ child, output: child.output() });
    }
  }

  /** There is one holder, the same as before unless a successor was there. */
  async #checkHolder(fail: (what: string) => void): Promise<void> {
    const [former, now] = [this.#holder, this.#holderPid()];
    const mayChange = this.#holderMayChange;
    this.#holderMayChange = false;
    if (now === former) return;
    if (!mayChange) fail("another holder");
    this.#holder = now;
    const held = `${this.#root}/handover.json`;
    const lives = () =>
      leftovers(held).processes.some(({ pid }) => pid === former);
    for (let times = 0; times < 60 && lives(); times++) await pause(250);
    if (lives()) fail("two holders");
  }

  #holderPid(): number {
    return JSON.parse(Deno.readTextFileSync(`${this.#root}/handover.json`))
      .holder?.pid ?? 0;
  }

  /** Whatever the daemon called present when it died must be the tar's bytes. */
  #compareSpans(): void {
    using slots = new Database(`${this.#root}/slots.db`);
    for (const row of slots.all("SELECT slot, layer_digest FROM slots")) {
      const folder = `${this.#root}/layers/${row.slot}`;
      const tar = this.#tars.get(String(row.layer_digest));
      if (tar === undefined) {
        this.violations.push(`slot ${row.slot} is of no layer we know`);
        continue;
      }
      let ztoc, data, marks;
      try {
        ztoc = decodeZtoc(Deno.readFileSync(`${folder}/ztoc`));
        data = Deno.readFileSync(`${folder}/data`);
        marks = Deno.readFileSync(`${folder}/spans`);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) continue; // just begun
        throw error;
      }
      const spans = spanTable(ztoc);
      const first = marks.length - MARK_BYTES * spans.count;
      if (first < 0) continue;
      for (let span = 0; span < spans.count; span++) {
        const mark = marks.subarray(first + MARK_BYTES * span);
        if (mark.subarray(0, MARK_BYTES).every((byte) => byte === 0)) continue;
        this.#spansCompared++;
        const from = spans.start(span);
        const end = spans.end(span);
        if (
          Buffer.compare(data.subarray(from, end), tar.subarray(from, end)) !==
            0
        ) {
          this.violations.push(
            `slot ${row.slot} span ${span} is present and wrong`,
          );
        }
      }
    }
  }

  /** What must be the same as before the crash, and what must not be left over. */
  async #checkState(snapshots: SnapshotsClient): Promise<void> {
    const fail = (what: string) =>
      this.violations.push(`after crash ${this.#crashes}: ${what}`);
    const listed = new Set<string>();
    for await (const { name } of snapshots.list()) listed.add(name);
    for (const [name, presence] of this.#known) {
      const there = listed.delete(name);
      if (presence === "there" && !there) fail(`${name} is lost`);
      if (presence === "gone" && there) fail(`${name} came back`);
      this.#known.set(name, there ? "there" : "gone");
    }
    for (const name of listed) fail(`${name} was never made`);

    using slots = new Database(`${this.#root}/slots.db`);
    using metadata = new Database(`${this.#root}/snapshotter/metadata.db`);
    const usedNow = () =>
      new Set(
        metadata.all(
          "SELECT layer_directory AS d FROM snapshots WHERE layer_directory IS NOT NULL",
        ).map(({ d }) => String(d).split("/").at(-1)!),
      );
    const mountsNow = () => {
      const mounts = leftovers(this.#root).mounts;
      const byErofs = mounts.filter((path) =>
        path.startsWith(`${this.#root}/fs/e/`)
      );
      return { mounts, byErofs };
    };
    let { mounts, byErofs } = mountsNow();
    // What a killed process's helper was mounting is taken away some seconds later.
    for (
      let times = 0;
      times < 60 && byErofs.length > usedNow().size;
      times++
    ) {
      await pause(250);
      ({ mounts, byErofs } = mountsNow());
    }
    const fuse = mounts.filter((path) => !byErofs.includes(path));
    if (fuse.length !== 2) fail(`${fuse.length} FUSE mounts: ${fuse}`);
    await this.#checkHolder(fail);

    const used = usedNow();
    const same = (what: string, found: Iterable<string>) => {
      const text = [...found].sort().join(" ");
      const expected = [...used].sort().join(" ");
      if (text !== expected) fail(`${what} ${text}, used are ${expected}`);
    };
    if (byErofs.length > 0) {
      same("EROFS mounts", byErofs.map((path) => path.split("/").at(-1)!));
    }
    same(
      "slots",
      slots.all("SELECT slot FROM slots").map(({ slot }) => String(slot)),
    );
    same("layer folders", namesIn(`${this.#root}/layers`));
    // Where the kernel can, every layer is an EROFS mount of its own.
    const shown = leftovers(`${this.#root}/fs/e`).mounts.map((path) =>
      path.split("/").at(-1)!
    );
    if (this.#log().includes('"face":"erofs"')) same("EROFS mounts", shown);
    const mountpoints = namesIn(`${this.#root}/fs/e`).sort().join(" ");
    if (mountpoints !== [...shown].sort().join(" ")) {
      fail(`mountpoints ${mountpoints}, mounted are ${shown}`);
    }
    for (const name of namesIn(`${this.#root}/ingest`)) {
      fail(`ingest/${name} is left over`);
    }
    const ids = metadata.all(
      "SELECT id FROM snapshots WHERE layer_digest IS NULL",
    ).map(({ id }) => String(id)).sort().join(" ");
    const folders = namesIn(`${this.#root}/snapshotter/snapshots`).sort()
      .join(" ");
    if (ids !== folders) fail(`snapshot folders ${folders}, not ${ids}`);
  }

  /** Ends the readers; everything that was seen. */
  async outcome(): Promise<CrashOutcome> {
    await this.#endReaders();
    for (const { errors, wrong } of this.#reports) {
      this.violations.push(...errors, ...wrong.map((path) => `wrong: ${path}`));
    }
    if (this.violations.length > 0) {
      this.violations.push(this.#log().slice(-4000));
    }
    return {
      crashes: this.#crashes,
      whileStarting: this.#whileStarting,
      whileTakingOver: this.#whileTakingOver,
      acknowledged: this.#acknowledged,
      spansCompared: this.#spansCompared,
      readers: this.#reports,
      violations: this.violations,
    };
  }

  async #endReaders(): Promise<void> {
    for (const { child } of this.#readers) child.kill("SIGTERM");
    for (const { output } of this.#readers.splice(0)) {
      const { stdout, stderr } = await output;
      const decoder = new TextDecoder();
      this.#reports.push(
        readCheckReport(decoder.decode(stdout) || decoder.decode(stderr)),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout, stderr } = await sociDeno("stop", "--root", this.#root);
    void stdout, stderr;
    await this.#daemon?.close("SIGINT");
    await this.#endReaders().catch(() => {}); // told already, or the trial never began
    await run("umount", ["-l", `${this.folder}/merged`]).catch(() => {}); // never mounted
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** A database of the daemon's, for looking only. */
class Database implements Disposable {
  readonly #database: DatabaseSync;
  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true });
  }
  all(sql: string, ...values: string[]): Record<string, unknown>[] {
    return this.#database.prepare(sql).all(...values);
  }
  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
