import assert from "node:assert/strict";
import { type Grants, grantsOf, type Kind } from "../../cmd/grants.ts";
import { readLine } from "../../cmd/line.ts";
import { PERMISSIONS } from "../../cmd/permissions.ts";
import { pauseImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { sociDenoCommand, tryRun } from "../support/host/mod.ts";

/** What was asked of the runtime, as `kind value`; modules of the program apart. */
async function accesses(log: string): Promise<Map<string, [Kind, string]>> {
  const found = new Map<string, [Kind, string]>();
  for (const line of (await Deno.readTextFile(log)).trim().split("\n")) {
    const { permission, value } = JSON.parse(line);
    // Null is a question whether there is any such permission.
    if (value === null || String(value).startsWith("file:")) continue;
    found.set(`${permission} ${value}`, [permission, value]);
  }
  return found;
}

function within(path: string, list: Grants["read"]): boolean {
  return list === true ||
    (list ?? []).some((one) => path === one || path.startsWith(`${one}/`));
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
