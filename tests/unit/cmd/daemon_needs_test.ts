import assert from "node:assert/strict";
import { daemonNet } from "../../../cmd/daemon_needs.ts";
import {
  type Grants,
  grantsOf,
  isName,
  type Line,
} from "../../../cmd/grants.ts";
import { readLine } from "../../../cmd/line.ts";
import { PERMISSIONS } from "../../../cmd/permissions.ts";
import { bindingFolder, elsewhere } from "../../../lib/host/control/mod.ts";

/** Files in a folder of their own, which is removed afterwards. */
async function inFolder(
  files: (folder: string) => Readonly<Record<string, string>>,
  work: (folder: string) => void | Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files(folder))) {
    const path = `${folder}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A command line of `serve` with the configuration of a folder. */
function lineOf(
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Line {
  return {
    ...readLine(["--config", `${folder}/config.toml`, "--address", "/no/s"]),
    env: (name) => ({ HOME: "/no/home", ...env })[name],
    root: () => "/no/root",
  };
}

function lists(line: Line): Grants {
  return grantsOf(PERMISSIONS["serve"]!.parts, line);
}

function assertHas(list: Grants["read"], ...paths: string[]): void {
  for (const path of paths) {
    assert.ok(Array.isArray(list) && list.includes(path), `${path}: ${list}`);
  }
}

Deno.test("the daemon may read what a hosts.toml names in a folder that its configuration names, and connect to its sockets", () =>
  inFolder((folder) => ({
    "config.toml": `[content_store]
containerd_address = "unix:///no/containerd.sock"
[resolver]
config_path = "/no/hosts:${folder}/hosts,/no/more"
`,
    "hosts/r.example/hosts.toml": 'ca = "/no/ca.pem"\n',
  }), (folder) => {
    const { read, write } = lists(lineOf(folder));
    assertHas(
      read,
      ...["/no/containerd.sock", "/no/hosts", `${folder}/hosts`, "/no/more"],
      "/no/ca.pem",
    );
    assertHas(write, "/no/containerd.sock", "/no/root", "/no/s");
    assert.ok(!(write as string[]).includes("/no/ca.pem"));
  }));

Deno.test("the daemon may use what a kubeconfig names, where it asks Kubernetes at all", () =>
  inFolder(() => ({
    "config.toml": "[kubeconfig_keychain]\nenable_keychain = true\n",
    "without.toml": "",
    "kube/config": `clusters:
- name: a
  cluster:
    certificate-authority: pki/ca.crt
    certificate-authority-data: AAAA
    server: https://api.example:6443
users:
- name: u
  user: {"client-certificate": "/no/client.crt", "client-key": "/no/client.key"}
- name: v
  user:
    tokenFile: ../token
    exec:
      command: ./login
- name: w
  user:
    exec: { command: aws-login }
`,
  }), (folder) => {
    const line = lineOf(folder, { KUBECONFIG: `${folder}/kube/config` });
    const { read, run } = lists(line);
    assertHas(
      read,
      ...[`${folder}/kube/config`, `${folder}/kube/pki/ca.crt`],
      ...["/no/client.crt", "/no/client.key", `${folder}/token`],
    );
    assertHas(run, `${folder}/kube/login`, "aws-login");
    assertHas(daemonNet(line, ["r.example"]), "api.example:6443");
    const without = lists({
      ...line,
      value: (flag) =>
        flag === "config" ? `${folder}/without.toml` : line.value(flag),
    });
    assert.ok(!(without.run as string[]).includes("aws-login"));
    assert.ok(!(without.read as string[]).includes("/no/client.key"));
  }));

Deno.test("of the kubelet's plugins the daemon may run those that their configuration names, and nothing else of their folder", () =>
  inFolder((folder) => ({
    "config.toml":
      `[credential_provider]\nconfig_path = "${folder}/plugins.yaml"\nbin_dir = "${folder}/bin"\n`,
    "plugins.yaml": "providers:\n- name: ecr\n  args: [x]\n- name: gone\n",
    "bin/ecr": "",
    "bin/other": "",
  }), (folder) => {
    const { run } = lists(lineOf(folder));
    assertHas(run, `${folder}/bin/ecr`, Deno.execPath(), "/proc/self/exe");
    assert.ok(!(run as string[]).includes(`${folder}/bin/other`));
    assert.ok(!(run as string[]).includes(`${folder}/bin/gone`));
  }));

Deno.test("of what its configuration names the daemon may write to sockets alone, and run programs alone", () =>
  inFolder((folder) => ({
    "config.toml": `metrics_network = "unix"
metrics_address = "/no/metrics"
debug_address='/no/debug'
[content_store]
"containerd_address" = "unix:///no/containerd"
[cri_keychain]
Image_Service_Path = "/no/cri"
[credential_provider]
config_path = "${folder}/plugins.yaml"
bin_dir = "/no/bin"
[resolver]
config_path = "/no/hosts"
[pull_modes.parallel_pull_unpack.decompress_streams]
gzip = { path = "/no/unpigz", args = ["-d"] }
zstd.path = "/no/unzstd"
`,
    "plugins.yaml": "",
  }), (folder) => {
    const line = lineOf(folder);
    const { read, write, run } = lists(line);
    const sockets = ["/no/metrics", "/no/debug", "/no/containerd", "/no/cri"];
    const programs = ["/no/unpigz", "/no/unzstd"];
    const others = ["/no/bin", "/no/hosts", `${folder}/plugins.yaml`];
    assertHas(read, ...sockets, ...programs, ...others);
    assertHas(write, ...sockets);
    assertHas(run, ...programs);
    const net = sockets.map((path) => `unix:${path}`);
    assertHas(daemonNet(line, ["r.example"]), ...net);
    for (const path of [...programs, ...others]) {
      assert.ok(!(write as string[]).includes(path), path);
    }
    for (const path of [...sockets, ...others]) {
      assert.ok(!(run as string[]).includes(path), path);
    }
  }));

Deno.test("with [network] hosts the daemon has these, its sockets and the places where it listens", () =>
  inFolder(() => ({
    "config.toml":
      'metrics_address = ":9090"\ndebug_address = "localhost:6060"\n[network]\nhosts = ["r.example"]\n',
  }), (folder) => {
    const control = "/no/root/control.sock";
    assert.deepEqual(daemonNet(lineOf(folder), ["r.example"]), [
      "unix:/run/containerd/containerd.sock",
      ...[`unix:${control}`, `unix:${elsewhere(control)}`, "unix:/no/s"],
      ...["r.example:80", "r.example:443", "0.0.0.0:9090", "localhost:6060"],
    ]);
  }));

Deno.test("with [network] hosts the daemon reaches its own socket at a relative path, too", () =>
  inFolder(() => ({
    "config.toml": '[network]\nhosts = ["r.example"]\n',
  }), (folder) => {
    const plain = lineOf(folder);
    const line: Line = {
      ...plain,
      value: (flag) => flag === "address" ? "run/s" : plain.value(flag),
    };
    // The folder in which it is made is named after what was said.
    assertHas(lists(line).write, "run/s", bindingFolder("run/s"));
    const net = daemonNet(line, ["r.example"]);
    assertHas(
      net.filter((name) => isName("net", name)),
      `unix:${Deno.cwd()}/run/s`,
    );
  }));
