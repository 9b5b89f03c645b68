import assert from "node:assert/strict";

/** A containerd of its own, with soci as a proxy snapshotter. */
export interface TestContainerd extends AsyncDisposable {
  readonly address: string;
  /** Runs ctr in the namespace `tests` and gives back what it prints. */
  ctr(...args: string[]): Promise<string>;
}

const READY_TIMEOUT_MS = 10_000;

/** Starts Debian's containerd in a folder; its plugins that touch the machine are off. */
export async function startContainerd(
  folder: string,
  snapshotterAddress: string,
): Promise<TestContainerd> {
  const address = `${folder}/c.sock`;
  const config = `${folder}/config.toml`;
  Deno.writeTextFileSync(
    config,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.aufs",
]
[grpc]
  address = "${address}"
[ttrpc]
  address = "${folder}/t.sock"
[proxy_plugins.soci]
  type = "snapshot"
  address = "${snapshotterAddress}"
`,
  );
  const log = Deno.openSync(`${folder}/log`, { create: true, write: true });
  const child = new Deno.Command("containerd", {
    args: ["--config", config],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const logged = child.stderr.pipeTo(log.writable);
  const ctr = async (...args: string[]): Promise<string> => {
    const { success, stdout, stderr } = await new Deno.Command("timeout", {
      args: ["20", "ctr", "-a", address, "-n", "tests", ...args],
    }).output();
    const text = new TextDecoder().decode(stdout);
    assert.ok(
      success,
      `ctr ${args.join(" ")}: ${text}${new TextDecoder().decode(stderr)}`,
    );
    return text;
  };
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
    await logged;
  };
  try {
    await untilReady(address);
  } catch (error) {
    await stop();
    throw new Error(Deno.readTextFileSync(`${folder}/log`), { cause: error });
  }
  return { address, ctr, [Symbol.asyncDispose]: stop };
}

async function untilReady(address: string): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    try {
      (await Deno.connect({ transport: "unix", path: address })).close();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((wake) => setTimeout(wake, 25));
  }
}
