import assert from "node:assert/strict";
import { type Grants, grantsOf, type Kind } from "../../cmd/grants.ts";
import { readLine } from "../../cmd/line.ts";
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
import { run, sociDenoCommand, tryRun } from "../support/host/mod.ts";
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

Deno.test("what commands ask of the runtime is what the table gives them, and the table gives no variable and no libc for nothing", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", pauseImage());
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-audit-" });
  const root = `${folder}/root`;
  await Deno.mkdir(root);
  const image = `${registry.host}/app:1`;
  const to = ["--plain-http", `--hosts-dir=${folder}/hosts`];
  const missing = `${folder}/none`;
  const env: Record<string, string> = {
    SOCI_SNAPSHOTTER_ROOT: root,
    CONTAINERD_ADDRESS: missing,
  };
  /** Command lines, and what of their variables these lines have no use for. */
  const lines: readonly [string, readonly string[], readonly string[]][] = [
    ["build-index", [...to, "--min-layer-size", "0", image], [
      ...["CONTAINERD_SNAPSHOTTER", "GRPC_*", "SOURCE_DATE_EPOCH"],
      ...ON_TERMINALS,
    ]],
    ["inspect", [...to, image], []],
    ["order list", [...to, image], []],
    ["order merge", ["--output", `${folder}/merged`, missing], []],
    ["pull", [...to, image], ON_TERMINALS],
    ["copy", [...to, image, `${registry.host}/copied`], [
      ...["CONTAINERD_SNAPSHOTTER", "GRPC_*"],
      ...ON_TERMINALS,
    ]],
    ["debug trace", [], []],
    ["adopt", [], [
      ...["CONTAINERD_NAMESPACE", "CONTAINERD_SNAPSHOTTER", "GRPC_*"],
    ]],
    ["index list", [], ["CONTAINERD_SNAPSHOTTER", "SOURCE_DATE_EPOCH"]],
    ["status", [], []],
    ["umount", [missing], []],
    ["config", ["check"], []],
  ];
  for (const [words, args, unused] of lines) {
    await t.step(words, async () => {
      const log = `${folder}/${words.replace(" ", "-")}.jsonl`;
      const command = sociDenoCommand(...words.split(" "), ...args);
      const { stderr } = await tryRun(command.program, command.args, {
        timeoutMs: 60_000,
        env: { ...env, DENO_AUDIT_PERMISSIONS: log },
      });
      const grants = grantsOf(PERMISSIONS[words]!.parts, {
        ...readLine(args),
        env: (name) => env[name] ?? Deno.env.get(name),
        root: () => root,
      });
      const asked = await accesses(log);
      const beyond = [...asked.values()].filter(([kind, value]) =>
        !holds(grants, kind, value) &&
        !isFetch(kind, value, registry.host) &&
        value !== root // the process looks where it is, links resolved
      ).map(([kind, value]) => `${kind} ${value}`);
      assert.deepEqual(beyond, [], stderr);
      const values = [...asked.values()].map(([, value]) => value);
      const idle = [
        ...grants.env as string[],
        ...(grants.ffi ?? []) as string[],
      ]
        .filter((one) => !one.includes("roxy") && !one.includes("PROXY"))
        .filter((one) => !unused.includes(one) && !isLibc(one))
        .filter((one) =>
          !values.some((value) => holds({ env: [one] }, "env", value))
        );
      assert.deepEqual(idle, [], `never asked for: ${stderr}`);
      if (grants.ffi !== undefined) assert.ok(values.some(isLibc));
    });
  }
  await Deno.remove(folder, { recursive: true });
});

/** What was asked for beyond the lists of a command line. */
async function beyond(
  words: string,
  args: readonly string[],
  log: string,
): Promise<string[]> {
  const line = readLine(args);
  const grants = grantsOf(PERMISSIONS[words]!.parts, line);
  return [...(await accesses(log)).values()]
    .filter(([kind, value]) => !holds(grants, kind, value))
    // The process looks where the root is, links resolved, and whose the folders above it are.
    .filter(([, value]) => !within(line.root(), [value]))
    .map(([kind, value]) => `${kind} ${value}`).sort();
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

  /** The file with what was said, when those who said it have ended. */
  get said(): string {
    return `${this.path}.read`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reader.kill("SIGKILL");
    await this.#reader.status;
  }
}

Deno.test("what serve, record and mount ask of the runtime while they work is what the table says they need", async (t) => {
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
      assert.deepEqual(await beyond("record", args, `${folder}/record`), []);
    });
    await host.containerd.ctr("images", "rm", "--sync", image);
    const stopped = await sociDeno("stop", "--root", host.root);
    assert.equal(stopped.code, 0, stopped.stderr);
    await t.step("serve", async () => {
      const args = [
        ...["--address", host.socket, "--root", host.root],
        ...["--config", `${host.folder}/config.toml`],
      ];
      assert.deepEqual(await beyond("serve", args, log.said), []);
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
    assert.deepEqual(await beyond("mount", args, log.said), []);
  });
  await Deno.remove(folder, { recursive: true });
});
