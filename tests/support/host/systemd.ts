import { type CommandResult, run, tryRun } from "./command.ts";
import { pause, type Service, startService } from "./service.ts";

const PROGRAM = "/usr/lib/systemd/systemd";
/**
 * A user manager believes that it runs under a booted systemd if /run/systemd/system exists. It
 * gets its own /run and cgroup tree, so that the machine's stay as they are.
 */
const LAUNCH = `
set -e
root=$(awk '{ for (i = 7; i <= NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") print $5 }' /proc/self/mountinfo | head -1)
mkdir -p "$root/$1"
echo $$ > "$root/$1/cgroup.procs"
exec unshare -C -m --propagation private sh -ec '
  mount -t tmpfs tmpfs /run
  mkdir -p /run/systemd/system /run/manager
  chmod 700 /run/manager
  mount -t cgroup2 none /sys/fs/cgroup
  exec ${PROGRAM} --user
'`;

/** A systemd of the test's own: real units, a real descriptor store, in a mount namespace of its own. */
export class Systemd implements AsyncDisposable {
  readonly #service: Service;
  readonly #cgroup: string;

  private constructor(service: Service, cgroup: string) {
    this.#service = service;
    this.#cgroup = cgroup;
  }

  /** @param units folder of its unit files; nothing else is loaded. */
  static async start(units: string, logFile: string): Promise<Systemd> {
    const cgroup = `soci-deno-test-${crypto.randomUUID()}`;
    const service = await startService({
      program: "sh",
      args: ["-c", LAUNCH, "sh", cgroup],
      logFile,
      env: {
        XDG_RUNTIME_DIR: "/run/manager",
        HOME: units,
        SYSTEMD_UNIT_PATH: `${units}:/usr/lib/systemd/user`,
        SYSTEMD_LOG_TARGET: "console",
      },
      ready: () => true,
    });
    const systemd = new Systemd(service, cgroup);
    for (let tries = 0; tries < 100; tries++) {
      if ((await systemd.tryControl("list-units")).code === 0) return systemd;
      await pause(100);
    }
    const logs = service.logs();
    await systemd[Symbol.asyncDispose]();
    throw new Error(`systemd does not answer:\n${logs.slice(-3000)}`);
  }

  #inside(program: string, args: readonly string[]): string[] {
    return [
      ...["-t", String(this.#service.pid), "-m", "-C", "--", program],
      ...args,
    ];
  }

  /** The arguments of `nsenter` that run a program where the units run. */
  enter(program: string, ...args: string[]): string[] {
    return this.#inside(program, args);
  }

  /** Runs `systemctl`, whatever its exit code. */
  tryControl(...args: string[]): Promise<CommandResult> {
    return tryRun(
      "nsenter",
      this.#inside("systemctl", ["--user", "--no-pager", ...args]),
      { env: { XDG_RUNTIME_DIR: "/run/manager" }, timeoutMs: 40_000 },
    );
  }

  /** Runs `systemctl`. @throws Error with its output and systemd's. */
  async control(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tryControl(...args);
    if (code === 0) return stdout;
    throw new Error(
      `systemctl ${args.join(" ")}: ${stderr}\n${
        this.#service.logs().slice(-3000)
      }`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tryControl("exit");
    await this.#service.close("SIGKILL");
    // Remove what is left in the tree, deepest first.
    const { stdout } = await run("find", [
      ...["/sys/fs/cgroup", "-depth", "-type", "d"],
      ...["-path", `*/${this.#cgroup}*`],
    ]);
    for (const folder of stdout.split("\n").filter((line) => line !== "")) {
      await tryRun("rmdir", [folder]);
    }
  }
}
