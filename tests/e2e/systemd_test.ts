/** The shipped units under a real systemd: readiness, socket activation, descriptor store. */
import assert from "node:assert/strict";
import {
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import { pause, run, sociDenoCommand, Systemd } from "../support/host/mod.ts";
import {
  checkedLayer,
  CHECKER,
  makeImage,
  pushImage,
  readCheckReport,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex } from "./host.ts";

const PACKAGING = new URL("../../packaging/", import.meta.url).pathname;
const UNIT = "soci-snapshotter.service";

/** The shipped units, with paths of the test's own. */
async function installUnits(folder: string): Promise<string> {
  const units = `${folder}/units`;
  await Deno.mkdir(`${units}/${UNIT}.d`, { recursive: true });
  await Deno.mkdir(`${units}/soci-snapshotter.socket.d`);
  for (const name of [UNIT, "soci-snapshotter.socket"]) {
    await Deno.copyFile(`${PACKAGING}${name}`, `${units}/${name}`);
  }
  const { program, args } = sociDenoCommand(
    ...["serve", "--address", "fd://", "--root", `${folder}/root`],
    ...["--config", `${folder}/config.toml`],
  );
  await Deno.writeTextFile(
    `${units}/${UNIT}.d/test.conf`,
    `[Service]
ExecStart=
ExecStart=${[program, ...args].map((word) => `"${word}"`).join(" ")}
Environment=HOME=${Deno.env.get("HOME")}
Environment=DENO_DIR=${
      Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`
    }
StandardError=append:${folder}/log
OOMScoreAdjust=
LimitNOFILE=
`,
  );
  await Deno.writeTextFile(
    `${units}/soci-snapshotter.socket.d/test.conf`,
    `[Socket]
ListenStream=
ListenStream=${folder}/soci.sock
`,
  );
  return units;
}

/**
 * Calls the daemon on a connection of its own, closed before the daemon ends: Deno 2.9.6 can abort in
 * nghttp2 (find_stream_on_goaway_func) when a peer says GOAWAY to a client of earlier calls.
 */
async function calling<T>(
  folder: string,
  call: (snapshots: SnapshotsClient) => Promise<T>,
): Promise<T> {
  using channel = new RpcChannel({
    socketPath: `${folder}/soci.sock`,
    namespace: "default",
  });
  return await call(new SnapshotsClient(channel, "soci"));
}

const CAP_SYS_MODULE = 16n;
const CAP_SYS_ADMIN = 21n;

/** The process of the unit, as this test sees it. */
async function mainProcess(systemd: Systemd): Promise<number> {
  const text = await systemd.control("show", "-p", "MainPID", "--value", UNIT);
  return Number(text.trim());
}

const holderOf = (folder: string): number =>
  JSON.parse(Deno.readTextFileSync(`${folder}/root/handover.json`)).holder.pid;

Deno.test("under systemd a restart and a kill go unnoticed, by the descriptor store alone", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-systemd-" });
  try {
    await using registry = startRegistry();
    const image = makeImage({
      layers: [checkedLayer({ seed: 5, large: 20, small: 60 })],
    });
    await pushImage(registry.host, "unit:1", image);
    await buildIndex("--min-layer-size", "0", `${registry.host}/unit:1`);
    await Deno.writeTextFile(
      `${folder}/config.toml`,
      "[pull_modes.soci_v1]\nenable = true\n",
    );
    await Deno.writeTextFile(`${folder}/check.py`, CHECKER);
    await using systemd = await Systemd.start(
      await installUnits(folder),
      `${folder}/systemd.log`,
    );
    await systemd.control("start", "soci-snapshotter.socket");
    const socket = Deno.lstatSync(`${folder}/soci.sock`).ino;
    await systemd.control("start", UNIT); // returns at READY=1

    const [layer] = image.layers;
    const [mount] = await calling(folder, async (snapshots) => {
      await assert.rejects(
        snapshots.prepare("extract", "", {
          labels: {
            "containerd.io/snapshot.ref": layer!.diffId,
            "containerd.io/snapshot/cri.image-ref": `${registry.host}/unit:1`,
            "containerd.io/snapshot/cri.manifest-digest": image.digest,
            "containerd.io/snapshot/cri.layer-digest": layer!.digest,
          },
        }),
        /ALREADY_EXISTS/,
      );
      return await snapshots.prepare("container", layer!.diffId);
    });
    const lower = mount!.options.find((text) => text.startsWith("lowerdir="));
    const directory = lower!.slice("lowerdir=".length);

    const checker = new Deno.Command("timeout", {
      args: [
        ...["60", "nsenter"],
        ...systemd.enter("python3", `${folder}/check.py`, directory, "9"),
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn().output();
    await pause(1000);
    await systemd.control("restart", UNIT);
    await pause(500);
    const kill = (signal: string) =>
      systemd.control("kill", `--signal=${signal}`, "--kill-who=main", UNIT);
    // Only systemd holds the descriptors when the next run starts: this one cannot replace its holder.
    await kill("STOP");
    await run("kill", ["-9", String(holderOf(folder))]);
    await kill("KILL");
    await pause(1500);
    await kill("KILL");
    const { stdout, stderr } = await checker;
    const text = new TextDecoder();
    const report = readCheckReport(text.decode(stdout) + text.decode(stderr));
    console.log(
      `    ${report.operations} operations, longest ${report.longestMs} ms`,
    );
    assert.equal(
      report.failures,
      0,
      JSON.stringify(report) + Deno.readTextFileSync(`${folder}/log`),
    );
    const log = Deno.readTextFileSync(`${folder}/log`);
    assert.equal(log.match(/mounts taken over/g)?.length, 3, log);

    const names = await calling(
      folder,
      async (snapshots) =>
        (await Array.fromAsync(snapshots.list())).map(({ name }) => name),
    );
    assert.deepEqual(names.sort(), ["container", layer!.diffId].sort());
    assert.equal(Deno.lstatSync(`${folder}/soci.sock`).ino, socket);
    const status = await Deno.readTextFile(
      `/proc/${await mainProcess(systemd)}/status`,
    );
    assert.match(status, /^Seccomp:\t2$/m, "no filter of system calls");
    assert.match(status, /^NoNewPrivs:\t1$/m);
    const bounds = BigInt(`0x${/^CapBnd:\t(\w+)$/m.exec(status)![1]}`);
    assert.equal(bounds >> CAP_SYS_MODULE & 1n, 0n);
    assert.equal(bounds >> CAP_SYS_ADMIN & 1n, 1n);
    await systemd.control("kill", "--signal=INT", UNIT);
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {}); // mounts went with the namespace
  }
});
