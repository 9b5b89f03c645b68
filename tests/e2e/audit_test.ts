import assert from "node:assert/strict";
import { type Grants, grantsOf, type Kind, KINDS } from "../../cmd/grants.ts";
import { elsewhere } from "../../lib/host/control/mod.ts";
import { SCRATCH_FOLDERS } from "../../lib/host/files/mod.ts";
import { encodeRecording } from "../../lib/formats/order/mod.ts";
import { CONTAINERD_PROGRAMS } from "../../cmd/install/places.ts";
import { readLine } from "../../cmd/line.ts";
import { configPath } from "../../cmd/network_hosts.ts";
import { DEFAULT_ROOT } from "../../cmd/root.ts";
import { PERMISSIONS } from "../../cmd/permissions.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import {
  pause,
  PROGRAM_FOLDER,
  run,
  sociDenoCommand,
  tryRun,
} from "../support/host/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";
import { Mounted } from "./mounted.ts";

/** What was asked of the runtime, as `kind value`; modules of the program apart. */
async function accesses(log: string): Promise<Map<string, [Kind, string]>> {
  const found = new Map<string, [Kind, string]>();
  // Several processes may have written, an end of a line apart from its line.
  const records = (await Deno.readTextFile(log)).split(/\n+|(?=\{"v":1,)/);
  for (const record of records.filter((one) => one !== "")) {
    const { permission, value } = JSON.parse(record);
    // Null is a question whether there is any such permission.
    if (value === null || String(value).startsWith("file:")) continue;
    found.set(`${permission} ${value}`, [permission, value]);
  }
  return found;
}

function within(path: string, list: Grants["read"]): boolean {
  return list === true ||
    (list ?? []).some((one) =>
      path === one || path.startsWith(one.replace(/\/?$/, "/"))
    );
}

/** Whether the table's lists hold an access. */
function holds(grants: Grants, kind: Kind, value: string): boolean {
  const list = grants[kind];
  if (list === true) return true;
  switch (kind) {
    case "read":
      return within(value, list);
    case "write": // where a file is opened, both are asked for
      return within(value, list) || within(value, grants.read);
    case "env":
      return (list ?? []).some((one) =>
        one === value ||
        (one.endsWith("*") && value.startsWith(one.slice(0, -1)))
      );
    case "net": // a fetch is told by its URL
      return (list ?? []).some((one) =>
        one === value || value.startsWith(`http://${one}/`)
      );
    default:
      return (list ?? []).includes(value);
  }
}

/** The fetch Worker asks registries; its list is the network. */
function isFetch(kind: Kind, value: string, host: string): boolean {
  return kind === "net" && value.startsWith(`http://${host}/`);
}

/** What draws progress reads, where there is a terminal. */
const ON_TERMINALS = ["TERM", "TERM_PROGRAM", "TMUX"];

const isLibc = (value: string) => value.endsWith("/libc.so.6");

/** A draft has a name of its own in each process. */
const named = (value: string) => value.replace(/\.[0-9a-f]{8}\.part/, ".part");

/** A command line, and what its command's lists hold that this line has no use for. */
type Tried = readonly [
  words: string,
  args: readonly string[],
  idle?: readonly string[],
];

/**
 * Every command that runs in a Worker, one of those that share their lists. Nobody is at the sockets; with
 * containerd and a daemon all of them run in other tests, under the same lists.
 */
function tried(
  { folder, root, image, to, missing, recording }:
    & Record<
      "folder" | "root" | "image" | "missing" | "recording",
      string
    >
    & { to: readonly string[] },
): readonly Tried[] {
  const socket = `${root}/control.sock`;
  const control = [socket, elsewhere(socket)];
  const digest = `sha256:${"0".repeat(64)}`;
  const notes = `${Deno.env.get("HOME")}/.local/state/soci-deno`;
  const epoch = "SOURCE_DATE_EPOCH"; // artifacts have it, and there is none
  const namespace = ["CONTAINERD_NAMESPACE", "CONTAINERD_SNAPSHOTTER"];
  const debug = `${folder}/debug`;
  const tree = `${folder}/tree`;
  // Its version is said.
  const programs = CONTAINERD_PROGRAMS.map((path) => `${tree}${path}`);
  const output = (path: string) => [path, `${path}.part`, `${path}.part.old`];
  return [
    ["build-index", [...to, "--min-layer-size", "0", image], [
      ...[missing, "GRPC_*", epoch, notes],
      ...ON_TERMINALS,
    ]],
    ["create", [image], [epoch, ...ON_TERMINALS]],
    ["convert", [image, `${image}-soci`], [epoch, ...ON_TERMINALS]],
    ["push", [...to, image], [epoch]],
    ["inspect", [...to, image]],
    ["doctor", [...to, image]],
    ["copy", [...to, image, `${image}-copied`], ["GRPC_*", ...ON_TERMINALS]],
    ["pull", [...to, image], [...control, ...ON_TERMINALS]],
    ["content fetch", [...to, image], ON_TERMINALS],
    ["order list", [...to, image]],
    ["order remove", [...to, image, digest]],
    ["order show", [...to, recording]],
    ["order push", [...to, image, recording]],
    ["order merge", ["--output", `${folder}/merged`, recording]],
    ["adopt", [], [missing, "CONTAINERD_ADDRESS", ...namespace, "GRPC_*"]],
    ["index list", [], [epoch]],
    ["ztoc get-file", [digest, "a", "--output", `${folder}/a`], [
      ...[epoch, ...output(`${folder}/a`)],
    ]],
    ["status", []],
    ["stop", []],
    ["gc", []],
    ["debug snapshot", ["--output", debug], [debug, `${debug}.part.old`]],
    ["debug trace", []],
    ["umount", [missing]],
    ["config", ["check"]],
    ["install", ["--root", tree, "--containerd", "2.0", "--yes"], [
      ...[...programs, Deno.execPath()],
    ]],
    ["uninstall", ["--root", tree, "--yes", "--purge"]],
    ["completion", ["bash"]],
    ["licences", []],
  ];
}

Deno.test("what commands ask of the runtime is what the table gives them, and the table gives nothing for nothing", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", pauseImage());
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-audit-" });
  const root = `${folder}/root`;
  await Deno.mkdir(root);
  await Deno.mkdir(`${folder}/tree/etc`, { recursive: true });
  await Deno.mkdir(`${folder}/tree${DEFAULT_ROOT}`, { recursive: true });
  const image = `${registry.host}/app:1`;
  const missing = `${folder}/none`;
  const recording = `${folder}/recording`;
  await Deno.writeFile(
    recording,
    encodeRecording({
      ...{ image, workload: "default", platform: "linux/amd64", runs: 1 },
      ...{ layers: [], touches: [] },
    }),
  );
  const env: Record<string, string> = {
    SOCI_SNAPSHOTTER_ROOT: root,
    CONTAINERD_ADDRESS: missing,
  };
  const to = ["--plain-http", `--hosts-dir=${folder}/hosts`];
  const lines = tried({ folder, root, image, to, missing, recording });
  await t.step("every command in a Worker is tried", () => {
    const needs = new Set(lines.map(([words]) => PERMISSIONS[words]));
    assert.deepEqual(
      Object.entries(PERMISSIONS).filter(([, one]) =>
        one.runs === "worker" && !needs.has(one)
      ).map(([words]) => words),
      ["serve", "record", "mount"], // below
    );
  });
  for (const [words, args, spare = []] of lines) {
    await t.step(words, async () => {
      const log = `${folder}/${words.replace(" ", "-")}.jsonl`;
      const command = sociDenoCommand(
        ...(words === "create" ? ["soci"] : []),
        ...words.split(" "),
        ...args,
      );
      const { stderr } = await tryRun(command.program, command.args, {
        timeoutMs: 60_000,
        env: { ...env, DENO_AUDIT_PERMISSIONS: log },
      });
      const config = configPath(readLine(args));
      const grants = grantsOf(PERMISSIONS[words]!.parts, {
        ...readLine(args),
        env: (name) => env[name] ?? Deno.env.get(name),
        root: () => root,
        draftSuffix: ".part",
      });
      const asked = [...(await accesses(log)).values()]
        .map(([kind, value]) => [kind, named(value)] as const);
      const beyond = asked.filter(([kind, value]) =>
        !holds(grants, kind, value) &&
        !isFetch(kind, value, registry.host) &&
        !(kind === "read" && within(value, [PROGRAM_FOLDER])) &&
        value !== root && // the process looks where it is, links resolved
        value !== config // the process reads `[network] hosts` there
      ).map(([kind, value]) => `${kind} ${value}`);
      assert.deepEqual(beyond, [], stderr);
      // The registry is asked from there when it has given 1 MiB at once.
      const idle = idleOf(grants, asked, [...spare, registry.host]);
      assert.deepEqual(idle, [], `never asked for: ${stderr}`);
    });
  }
  await Deno.remove(folder, { recursive: true });
});

/** What lists hold and nobody asked for. @param spare of that what there is no use for */
function idleOf(
  grants: Grants,
  asked: readonly (readonly [Kind, string])[],
  spare: readonly string[],
): string[] {
  return KINDS.flatMap((kind) => {
    const list = grants[kind] ?? [];
    const values = asked.filter((one) => one[0] === kind)
      .map(([, value]) => value);
    if (list === true || (kind === "ffi" && values.some(isLibc))) return [];
    return list.filter((one) => !spare.includes(one.replace("unix:", "")))
      .filter((one) =>
        !values.some((value) => holds({ [kind]: [one] }, kind, value))
      ).map((one) => `${kind} ${one}`);
  }).filter((one) => !/proxy/i.test(one));
}

/** @param spare what of the lists of this command line there is no use for */
async function assertEqual(
  words: string,
  args: readonly string[],
  log: string,
  spare: readonly string[],
): Promise<void> {
  const line = readLine(args);
  const grants = grantsOf(PERMISSIONS[words]!.parts, line);
  const asked = [...(await accesses(log)).values()];
  const beyond = asked.filter(([kind, value]) => !holds(grants, kind, value))
    // The process looks where the root is, links resolved, and whose the folders above it are.
    .filter(([, value]) => !within(line.root(), [value]))
    .filter(([, value]) => value !== configPath(line)) // for [network] hosts
    .filter(([kind, value]) =>
      !(kind === "read" && within(value, [PROGRAM_FOLDER]))
    )
    .map(([kind, value]) => `${kind} ${value}`);
  assert.deepEqual(beyond, []);
  assert.deepEqual(idleOf(grants, asked, spare), [], "never asked for");
}

/** Where a process and those that it starts say what they ask for. Each would empty a file that it opens. */
class SharedLog implements AsyncDisposable {
  readonly #reader: Deno.ChildProcess;

  private constructor(readonly path: string) {
    this.#reader = new Deno.Command("sh", {
      args: ["-c", `exec cat <>"$0" >"$0.read"`, path],
      stdin: "null",
    }).spawn();
  }

  static async open(path: string): Promise<SharedLog> {
    await run("mkfifo", [path]);
    return new SharedLog(path);
  }

  /** What a process is started with. */
  get env(): Record<string, string> {
    return { DENO_AUDIT_PERMISSIONS: this.path };
  }

  /** @returns the file with all that was said up to now. */
  async said(): Promise<string> {
    const said = `${this.path}.read`;
    const mark = '{"v":1,"permission":"env","value":null}\n';
    await Deno.writeTextFile(this.path, mark);
    while (!(await Deno.readTextFile(said)).endsWith(mark)) await pause(10);
    return said;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.kill("SIGKILL");
    await this.#reader.status;
  }
}

Deno.test("what serve, record and mount ask of the runtime while they work is what the table gives them, and the table gives nothing for nothing", async (t) => {
  await using registry = startRegistry();
  const data = incompressible(2 ** 20);
  await pushImage(
    registry.host,
    "app:1",
    makeImage({ layers: [layerBlob(new TarBuilder().file("data", data))] }),
  );
  const image = `${registry.host}/app:1`;
  await buildIndex("--min-layer-size", "0", image);
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-audit-" });
  {
    await using log = await SharedLog.open(`${folder}/serve`);
    await using host = await LazyHost.start({ daemon: { env: log.env } });
    // Where the control socket is when the disk takes no name.
    const second = elsewhere(`${host.root}/control.sock`);
    await t.step("record", async () => {
      await host.pull(image);
      const args = [
        ...["--no-run", "--until-port", registry.host.split(":")[1]!],
        ...["--until-http", `http://${registry.host}/v2/`],
        ...["--output", `${folder}/recording`],
        ...["--no-pull", "--keep-page-cache"],
        ...["--address", host.containerd.address, "--root", host.root, image],
      ];
      const env = { DENO_AUDIT_PERMISSIONS: `${folder}/record` };
      const command = sociDenoCommand("record", ...args);
      const ran = await tryRun(command.program, command.args, { env });
      assert.equal(ran.code, 0, ran.stderr);
      await assertEqual("record", args, `${folder}/record`, [
        ...[second, "CONTAINERD_ADDRESS", "SOCI_SNAPSHOTTER_ROOT", "ctr"],
      ]);
    });
    await host.containerd.ctr("images", "rm", "--sync", image);
    const stopped = await sociDeno("stop", "--root", host.root);
    assert.equal(stopped.code, 0, stopped.stderr);
    await t.step("serve", async () => {
      const args = [
        ...["--address", host.socket, "--root", host.root],
        ...["--config", `${host.folder}/config.toml`],
      ];
      await assertEqual("serve", args, await log.said(), [
        ...[second, Deno.execPath(), "SOCI_SNAPSHOTTER_*"],
        ...[...SCRATCH_FOLDERS, "/proc/self/exe"],
        // No chain is shared, and no pod pulls.
        ...[
          "/run/containerd/containerd.sock",
          `${host.folder}/containerd.sock`,
        ],
        ...["KUBECONFIG", `${Deno.env.get("HOME")}/.kube/config`],
        ...["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
        "/var/run/secrets/kubernetes.io/serviceaccount",
      ]);
    });
  }
  await t.step("mount", async () => {
    await using log = await SharedLog.open(`${folder}/mount`);
    let args: string[];
    {
      await using mounted = await Mounted.start(image, "auto", log.env);
      args = [
        ...["--root", `${mounted.folder}/root`, image, mounted.directory],
      ];
      const data = await Deno.readFile(`${mounted.directory}/data`);
      assert.equal(data.length, 2 ** 20);
      const ended = await sociDeno("umount", mounted.directory);
      assert.equal(ended.code, 0, ended.stderr);
      await mounted.ended();
    }
    await assertEqual("mount", args, await log.said(), [
      ...[Deno.execPath(), "/proc/self/exe"],
    ]);
  });
  await Deno.remove(folder, { recursive: true });
});
