/** A whole host for the end-to-end tests: a registry, the daemon, and containerd beside it. @module */
import assert from "node:assert/strict";
import type { FaceWish } from "../../lib/layers/faces/mod.ts";
import {
  type CommandResult,
  type Containerd,
  type ContainerdOptions,
  pause,
  type Service,
  sociDenoCommand,
  sociDenoWith,
  startContainerd,
  startService,
  tryRun,
  unixSocketAnswers,
} from "../support/host/mod.ts";

/** The daemon's config.toml where a test gives none: v1 on and background fetch off. */
export const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;

/** Makes and pushes an index; what `build-index` printed. @throws AssertionError */
export async function buildIndex(...args: string[]): Promise<string> {
  return await buildIndexIn({}, ...args);
}

/** `buildIndex` with further variables in its environment. */
export async function buildIndexIn(
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<string> {
  const { program, args: all } = sociDenoCommand("build-index", ...args);
  const ran = await tryRun(program, all, { timeoutMs: 60_000, env });
  assert.equal(ran.code, 0, ran.stderr);
  return ran.stdout;
}

/** Runs a subcommand to its end. */
export function sociDeno(...args: string[]): Promise<CommandResult> {
  const command = sociDenoCommand(...args);
  return tryRun(command.program, command.args, { timeoutMs: 60_000 });
}

/** How the daemon's process is started, beside its command line. */
export interface DaemonProcess {
  /** Folder of its state; one of the host's own when not given. */
  readonly root?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The Deno that runs it; the one of the tests when not given. */
  readonly program?: string;
  /** Program and arguments that start it in turn. */
  readonly prefix?: readonly string[];
  /** Further flags of `deno run`. */
  readonly denoFlags?: readonly string[];
}

/** The daemon and a containerd that uses it as snapshotter `soci`. */
export class LazyHost implements AsyncDisposable {
  #daemon: Service | null = null;
  #containerd: Containerd | null = null;

  private constructor(
    /** Holds the daemon's state, socket and log. */
    readonly folder: string,
    /** Flags for whatever talks to the registry. */
    readonly registryFlags: readonly string[],
    readonly daemonFlags: readonly string[],
    readonly daemonProcess: DaemonProcess,
  ) {}

  /** Folder of the daemon's state. */
  get root(): string {
    return this.daemonProcess.root ?? `${this.folder}/root`;
  }

  /** Path of the daemon's socket. */
  get socket(): string {
    return `${this.folder}/soci.sock`;
  }

  /**
   * @param options.config the daemon's config.toml; by default v1 on and background fetch off.
   * @param options.caFile authorities to trust beside the system's.
   * @param options.face how layers are shown; by default as the daemon chooses.
   */
  static async start(
    options: {
      config?: string;
      cri?: ContainerdOptions["cri"];
      /** Another containerd than the system's. */
      binDir?: string | undefined;
      /** What it is told of the snapshotter. */
      capabilities?: readonly string[] | undefined;
      caFile?: string;
      face?: FaceWish;
      daemon?: DaemonProcess;
    } = {},
  ): Promise<LazyHost> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-e2e-" });
    const { config = CONFIG } = options;
    const address = `containerd_address = "${folder}/containerd.sock"\n`;
    await Deno.writeTextFile(
      `${folder}/config.toml`,
      config.includes("[content_store]\n")
        ? config.replace("[content_store]\n", (table) => table + address)
        : `${config}\n[content_store]\n${address}`,
    );
    const { caFile, face } = options;
    const host = new LazyHost(
      folder,
      caFile === undefined ? [] : ["--tlscacert", caFile],
      face === undefined ? [] : ["--face", face],
      options.daemon ?? {},
    );
    // The daemon first: containerd dials at once, and backs off for seconds when nobody is there.
    await host.startDaemon();
    host.#containerd = await startContainerd({
      proxySnapshotters: [{
        name: "soci",
        address: `${folder}/soci.sock`,
        ...(options.capabilities && { capabilities: options.capabilities }),
      }],
      ...(options.cri && { cri: options.cri }),
      ...(options.binDir !== undefined && { binDir: options.binDir }),
    });
    await Deno.symlink(host.containerd.address, `${folder}/containerd.sock`);
    return host;
  }

  get containerd(): Containerd {
    if (this.#containerd === null) throw new Error("containerd is not up");
    return this.#containerd;
  }

  /** Starts the daemon; what a former one served is served again when this returns. */
  async startDaemon(...flags: string[]): Promise<void> {
    const socket = `${this.folder}/soci.sock`;
    const starts = () => this.#logFile().split('"serving"').length;
    const before = starts();
    const { denoFlags = [], prefix = [], env = {} } = this.daemonProcess;
    const command = sociDenoWith(
      denoFlags,
      ...["serve", "--address", socket, "--root", this.root],
      ...["--config", `${this.folder}/config.toml`, "--log-level", "debug"],
      ...this.registryFlags,
      ...this.daemonFlags,
      ...flags,
    );
    const [program = "", ...args] = [
      ...prefix,
      this.daemonProcess.program ?? command.program,
      ...command.args,
    ];
    this.#daemon = await startService({
      program,
      args,
      env,
      logFile: `${this.folder}/daemon.log`,
      ready: async () => await unixSocketAnswers(socket) && starts() > before,
      readyTimeoutMs: 60_000,
    });
  }

  #logFile(): string {
    try {
      return Deno.readTextFileSync(`${this.folder}/daemon.log`);
    } catch {
      return ""; // the first daemon has not written yet
    }
  }

  /** SIGKILL, at once. */
  async killDaemon(): Promise<void> {
    this.#daemon?.kill("SIGKILL");
    await this.#daemon?.ended;
    this.#daemon = null;
  }

  /** A second daemon takes over from the running one, which ends. */
  async takeOver(): Promise<void> {
    const before = this.#daemon;
    await this.startDaemon("--takeover");
    await before?.ended;
  }

  /** Process ID of the daemon. */
  get pid(): number {
    return this.#daemon?.pid ?? 0;
  }

  /** Waits until containerd talks to a daemon again that can make no snapshot. */
  async connected(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      const { stderr } = await tryRun("ctr", [
        ...["--address", this.containerd.address],
        ...["snapshots", "--snapshotter", "soci", "usage"],
      ], { timeoutMs: 10_000 });
      if (!/connection error|Unavailable|refused/i.test(stderr)) return;
      await pause(200);
    }
    throw new Error(`containerd does not come back\n${this.logs()}`);
  }

  /** Waits until containerd, which backs off after a refused connection, talks to the daemon again. */
  async reconnected(): Promise<void> {
    const snapshots = async (...args: string[]) =>
      (await tryRun("ctr", [
        ...["--address", this.containerd.address],
        ...["snapshots", "--snapshotter", "soci", ...args],
      ], { timeoutMs: 10_000 })).code === 0;
    // A list alone does not ask the daemon while containerd knows of no snapshot.
    const key = `reconnected-${crypto.randomUUID()}`;
    for (let tries = 0; tries < 100; tries++) {
      if (await snapshots("prepare", key)) {
        await snapshots("rm", key);
        return;
      }
      await pause(200);
    }
    throw new Error(`containerd does not come back\n${this.logs()}`);
  }

  /** SIGTERM, as for an upgrade: mounts stay. */
  async stopDaemon(): Promise<void> {
    await this.#daemon?.close();
    this.#daemon = null;
  }

  logs(): string {
    return this.#daemon?.logs() ?? "";
  }

  /** `soci-deno pull --json`, whose result is returned. */
  async pull(
    image: string,
    namespace = "default",
    flags: readonly string[] = [],
  ): Promise<{ layers: { chainId: string; outcome: string }[] }> {
    const { code, stdout, stderr } = await sociDeno(
      "pull",
      "--json",
      "--address",
      this.containerd.address,
      ...["--namespace", namespace, "--root", this.root],
      ...this.registryFlags,
      ...flags,
      image,
    );
    if (code !== 0) {
      throw new Error(`pull failed: ${stderr}\n${this.logs()}`);
    }
    return JSON.parse(stdout);
  }

  /** Starts `soci-deno pull`, which says nothing. The process is the caller's. */
  startPull(image: string): Deno.ChildProcess {
    const { program, args } = sociDenoCommand(
      ...["pull", "--address", this.containerd.address],
      ...["--root", this.root, image],
    );
    return new Deno.Command(program, {
      args,
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Removes images and waits until containerd has collected their snapshots. */
  async removeImages(...images: string[]): Promise<void> {
    await this.containerd.ctr("images", "rm", "--sync", ...images);
    for (let tries = 0; tries < 50; tries++) {
      const list = await this.containerd.ctr(
        "snapshots",
        "--snapshotter",
        "soci",
        "ls",
      );
      if (list.trim().split("\n").length <= 1) return;
      await pause(100);
    }
    throw new Error("snapshots stay after their images are gone");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.containerd.close();
    await this.#daemon?.close("SIGINT");
    await sociDeno("stop", "--root", this.root); // what a killed one left
    await Deno.remove(this.folder, { recursive: true });
  }
}
