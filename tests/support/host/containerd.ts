import { basename } from "node:path";
import {
  CommandError,
  type CommandOptions,
  type CommandResult,
  tryRun,
} from "./command.ts";
import {
  cniConfig,
  containerdConfig,
  type ContainerdOptions,
  type ContainerdPaths,
} from "./containerd_config.ts";
import { ContainerOutput } from "./container_output.ts";
import { childrenOf, processesNaming, unmountAll } from "./leftovers.ts";
import {
  pause,
  type Service,
  startService,
  unixSocketAnswers,
} from "./service.ts";

type CtrOptions = Pick<CommandOptions, "timeoutMs" | "onOutput">;

/** A containerd of the test's own that shares nothing with another one on the machine. */
export interface Containerd extends AsyncDisposable {
  /** Path of its gRPC socket. */
  readonly address: string;
  /** Folder that holds all its files, sockets and mounts. */
  readonly folder: string;
  readonly pid: number;
  /** `ctr` against it. @throws CommandError */
  ctr(...args: string[]): Promise<string>;
  /** `ctr` against it, whatever its exit code. */
  tryCtr(
    args: readonly string[],
    options?: CtrOptions,
  ): Promise<CommandResult>;
  logs(): string;
  /** Stops and starts the daemon; containers keep running in their shims. */
  restart(): Promise<void>;
  /** Kills every container and shim, stops the daemon, unmounts its mounts, removes its files. */
  close(): Promise<void>;
}

/** Starts containerd and waits until it answers. */
export async function startContainerd(
  options: ContainerdOptions = {},
): Promise<Containerd> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-containerd-" });
  // As /run/containerd: root of a user namespace has to reach its container's root directory.
  await Deno.chmod(folder, 0o711);
  const paths: ContainerdPaths = {
    root: `${folder}/root`,
    state: `${folder}/state`,
    address: `${folder}/containerd.sock`,
    cniConfigDir: `${folder}/cni`,
    opt: `${folder}/opt`,
  };
  const binDir = options.binDir;
  const env = binDir === undefined
    ? {}
    : { PATH: `${binDir}:${Deno.env.get("PATH") ?? "/usr/bin:/bin"}` };
  const program = (name: string) =>
    binDir === undefined ? name : `${binDir}/${name}`;
  await Deno.mkdir(paths.cniConfigDir);
  await Deno.writeTextFile(
    `${paths.cniConfigDir}/10-test.conflist`,
    cniConfig(`${folder}/cni-data`),
  );
  await Deno.writeTextFile(
    `${folder}/config.toml`,
    containerdConfig(paths, options),
  );

  const start = () =>
    startService({
      program: program("containerd"),
      args: ["--config", `${folder}/config.toml`],
      logFile: `${folder}/log`,
      env,
      ready: async () =>
        await unixSocketAnswers(paths.address) &&
        (await tryCtr(["version"], { timeoutMs: 5000 })).code === 0,
    });
  const tryCtr = (
    args: readonly string[],
    { timeoutMs = 120_000, onOutput }: CtrOptions = {},
  ) =>
    tryRun(program("ctr"), ["--address", paths.address, ...args], {
      timeoutMs,
      env,
      ...(onOutput !== undefined && { onOutput }),
    });
  const removeFiles = async () => {
    await unmountAll(folder);
    await Deno.remove(folder, { recursive: true });
  };

  let service: Service;
  try {
    service = await start();
  } catch (error) {
    await removeFiles();
    throw error;
  }
  const close = async () => {
    await killContainers(paths.address);
    await removeTasks(tryCtr);
    await killShims(paths.address);
    await service.close();
    await killShims(paths.address); // one may have been starting
    await removeFiles();
  };
  return {
    address: paths.address,
    folder,
    get pid() {
      return service.pid;
    },
    async ctr(...args) {
      const result = await tryCtr(args);
      if (result.code !== 0) {
        throw new CommandError(`ctr ${args.join(" ")}`, result);
      }
      return result.stdout;
    },
    tryCtr,
    logs: () => service.logs(),
    async restart() {
      await service.close();
      service = await start();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const shimsOf = (address: string) =>
  processesNaming(`-address ${address}`)
    .filter(({ command }) => command.includes("containerd-shim"));

/**
 * Sends SIGKILL to the children of the shims. All others in a PID namespace die with its first
 * process.
 */
async function killContainers(address: string): Promise<void> {
  const shims = shimsOf(address);
  for (const { pid } of shims) {
    for (const child of childrenOf(pid)) kill(child);
  }
  if (shims.length > 0) await pause(200); // time for the shims to reap them
}

/** Lets containerd end its shims, so that their cgroups and sockets go too. */
async function removeTasks(tryCtr: Containerd["tryCtr"]): Promise<void> {
  const lines = async (...args: string[]) =>
    (await tryCtr(args, { timeoutMs: 10_000 })).stdout.split("\n")
      .filter((line) => line !== "");
  for (const namespace of await lines("namespaces", "ls", "-q")) {
    const tasks = await lines("-n", namespace, "tasks", "ls", "-q");
    if (tasks.length === 0) continue;
    await tryCtr(["-n", namespace, "tasks", "rm", "-f", ...tasks], {
      timeoutMs: 20_000,
    });
  }
}

/** The last resort, when the daemon was already dead. */
async function killShims(address: string): Promise<void> {
  await killContainers(address);
  for (const { pid } of shimsOf(address)) kill(pid);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** What to run from an image that is already unpacked. */
export interface CtrRunOptions {
  readonly image: string;
  readonly id: string;
  /** Replaces the image's command. */
  readonly args?: readonly string[];
  readonly snapshotter?: string;
  readonly namespace?: string;
  /** Further flags of `ctr run`, such as `--env`, `--mount`, `--detach`. */
  readonly flags?: readonly string[];
  readonly timeoutMs?: number;
  /** Called with all that the container has printed so far, each time it prints. */
  readonly onOutput?: (stdout: string) => void;
}

/**
 * Runs `ctr run --rm` and returns the container's output, and behind it ctr's. runc's state and the cgroup are this
 * containerd's own: by default both go by namespace and ID alone, for all of a machine, and tests that run side by side
 * would end each other's containers.
 */
export async function ctrRun(
  containerd: Containerd,
  options: CtrRunOptions,
): Promise<CommandResult> {
  const flags = options.flags ?? [];
  const { namespace = "default", onOutput, timeoutMs = 60_000 } = options;
  const cgroup = [basename(containerd.folder), namespace, options.id].join("-");
  const run = (more: readonly string[]) =>
    containerd.tryCtr([
      ...["--namespace", namespace, "run"],
      ...["--snapshotter", options.snapshotter ?? "overlayfs"],
      ...["--runc-root", `${containerd.folder}/runc`],
      ...["--cgroup", `/${cgroup}`],
      ...[...more, ...flags],
      options.image,
      options.id,
      ...(options.args ?? []),
    ], { timeoutMs });
  if (flags.includes("--detach") || flags.includes("-d")) return await run([]);
  return await withOutput(
    containerd,
    (more) => run(["--rm", ...more]),
    onOutput,
  );
}

/** Runs a program in a running container by `ctr tasks exec`, and returns what {@linkcode ctrRun} does. */
export function ctrExec(
  containerd: Containerd,
  id: string,
  args: readonly string[],
): Promise<CommandResult> {
  const name = `e${crypto.randomUUID().slice(0, 8)}`;
  return withOutput(
    containerd,
    (more) =>
      containerd.tryCtr(
        ["tasks", "exec", ...more, "--exec-id", name, id, ...args],
      ),
  );
}

/** Runs `ctr` with the flags that send the output past it. */
async function withOutput(
  { folder }: Containerd,
  run: (flags: readonly string[]) => Promise<CommandResult>,
  onOutput?: (stdout: string) => void,
): Promise<CommandResult> {
  await using output = await ContainerOutput.create(folder);
  const running = run(output.flags);
  if (onOutput !== undefined) await output.follow(onOutput, running);
  const { code, stdout, stderr } = await running;
  const printed = await output.printed();
  return {
    code,
    stdout: printed.stdout + stdout,
    stderr: printed.stderr + stderr,
  };
}

/** Pulls and unpacks an image with `ctr`: over HTTPS if `caPath` is given, else over plain HTTP. */
export async function ctrPull(
  containerd: Containerd,
  image: string,
  options: {
    snapshotter?: string;
    namespace?: string;
    /** PEM file of the registry's authority. */
    caPath?: string;
  } = {},
): Promise<void> {
  const { snapshotter = "overlayfs", namespace = "default", caPath } = options;
  await containerd.ctr(
    ...["--namespace", namespace, "images", "pull"],
    ...(caPath === undefined ? ["--plain-http"] : ["--tlscacert", caPath]),
    ...["--snapshotter", snapshotter, image],
  );
}
