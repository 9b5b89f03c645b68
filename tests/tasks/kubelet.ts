/**
 * `deno task kubelet`: a real kubelet in standalone mode, whose image service is the daemon, runs a static pod of a lazy
 * image on containerd 2. The daemon is taken over, killed and started again meanwhile. The kubelet is built with Go, once
 * a machine, for some minutes. It runs as this machine's only one: none may be running here.
 * @module
 */
import assert from "node:assert/strict";
import { buildIndex, LazyHost } from "../e2e/host.ts";
import { newerContainerd } from "../support/peer/mod.ts";
import {
  freePort,
  pause,
  startContainerd,
  startService,
  tryRun,
  writeHostsToml,
} from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";

/** The last one that takes version 1 of cgroups without a word. */
const VERSION = "1.34.4";
const FOLDER = `/var/tmp/soci-deno-kubelet-v${VERSION}`;
const PROGRAM = `${FOLDER}/kubelet`;
const MAIN = `package main

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kubelet/app"
)

func main() { os.Exit(cli.Run(app.NewKubeletCommand(context.Background()))) }
`;
const DATA = incompressible(2 ** 21);

if (Deno.uid() !== 0) skip("it runs containers: run it as root");
if ((await tryRun("pidof", ["kubelet"])).code === 0) {
  skip("a kubelet runs here");
}
const newer = await newerContainerd("2");
if ("reason" in newer) skip(newer.reason);
if ((await tryRun("test", ["-x", PROGRAM])).code !== 0) await build();

await using registry = startRegistry();
const image = `${registry.host}/app:1`;
await pushImage(registry.host, "pause:1", pauseImage());
await pushImage(
  registry.host,
  "app:1",
  makeImage({
    layers: [
      layerBlob(addBusybox(new TarBuilder())),
      layerBlob(new TarBuilder().dir("data").file("data/file", DATA)),
    ],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  }),
);
await buildIndex("--min-layer-size", "0", image);
const work = await Deno.makeTempDir({ prefix: "soci-deno-kubelet-" });
await writeHostsToml(`${work}/hosts`, registry.host, { scheme: "http" });
await using host = await LazyHost.start({
  binDir: newer.binDir,
  config: `
[pull_modes.soci_v1]
enable = true
[cri_keychain]
enable_keychain = true
image_service_path = "unix://${work}/cri.sock"
`,
});
await using containerd = await startContainerd({
  binDir: newer.binDir,
  proxySnapshotters: [{
    name: "soci",
    address: host.socket,
    exports: { root: host.root },
  }],
  cri: {
    snapshotter: "soci",
    sandboxImage: `${registry.host}/pause:1`,
    registryConfigDir: `${work}/hosts`,
  },
});
await Deno.symlink(containerd.address, `${work}/cri.sock`);
const health = freePort();
await Deno.mkdir(`${work}/manifests`);
await Deno.writeTextFile(
  `${work}/config.yaml`,
  `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }
authorization: { mode: AlwaysAllow }
staticPodPath: ${work}/manifests
podLogsDir: ${work}/logs
containerRuntimeEndpoint: unix://${containerd.address}
imageServiceEndpoint: unix://${host.socket}
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
localStorageCapacityIsolation: false
port: ${freePort()}
healthzPort: ${health}
readOnlyPort: 0
evictionHard: { memory.available: "1Mi" }
`,
);
// It makes folders there, whatever it is told.
const isOwnFolder =
  (await tryRun("test", ["-e", "/var/lib/kubelet"])).code !== 0;
const manifest = `${work}/manifests/app.yaml`;
try {
  await using kubelet = await startService({
    program: PROGRAM,
    args: [
      ...["--config", `${work}/config.yaml`, "--v", "2"],
      ...["--root-dir", `${work}/kubelet`, "--cert-dir", `${work}/pki`],
    ],
    logFile: `${FOLDER}/kubelet.log`,
    ready: () => isHealthy(),
    readyTimeoutMs: 60_000,
  });
  await Deno.writeTextFile(
    manifest,
    `apiVersion: v1
kind: Pod
metadata: { name: app, namespace: default }
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - name: app
    image: ${image}
    imagePullPolicy: Always
    command: ["/bin/sh", "-c", "while :; do sha256sum /data/file; sleep 1; done"]
`,
  );
  const sums = async () =>
    (await tryRun("sh", ["-c", `cat ${work}/logs/*/app/*.log`])).stdout
      .split("\n").filter((line) => line !== "")
      .map((line) => line.split(" ")[3]);
  const more = async (than: number) => {
    for (let tries = 0; (await sums()).length <= than; tries++) {
      assert.ok(tries < 120, `${kubelet.logs().slice(-5000)}${host.logs()}`);
      await pause(500);
    }
    return (await sums()).length;
  };
  let count = await more(0);
  assert.match(host.logs(), /layer is served/);
  console.log("the kubelet's pod runs on lazy layers");
  await host.takeOver();
  count = await more(count);
  await host.killDaemon();
  await host.startDaemon();
  count = await more(count);
  console.log("and reads on over a takeover and a kill of the daemon");
  const right = sha256(DATA).slice("sha256:".length);
  assert.deepEqual(new Set(await sums()), new Set([right]));
  assert.doesNotMatch(
    kubelet.logs(),
    /failed to get device for dir/,
    "the kubelet finds the folder of the images",
  );
  assert.ok(await isHealthy());
  await Deno.remove(manifest);
  for (let tries = 0; (await running()) > 0; tries++) {
    assert.ok(tries < 120, "the pod does not end");
    await pause(500);
  }
  console.log("1 passed, 0 failed, 0 skipped");
} finally {
  await tryRun("sh", [
    "-c",
    `for m in $(grep -o '${work}[^ ]*' /proc/self/mountinfo | sort -r); do umount -l $m; done; rm -rf ${work} ${
      isOwnFolder ? "/var/lib/kubelet" : ""
    }`,
  ]);
}

async function running(): Promise<number> {
  const { stdout } = await containerd.tryCtr(
    ["-n", "k8s.io", "tasks", "ls", "-q"],
    { timeoutMs: 10_000 },
  );
  return stdout.split("\n").filter((line) => line !== "").length;
}

async function isHealthy(): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${health}/healthz`);
    return await answer.text() === "ok";
  } catch {
    return false;
  }
}

/** Its module says where Kubernetes' other modules lie in its own tree: here they are the released ones. */
async function build(): Promise<void> {
  if ((await tryRun("sh", ["-c", "command -v go"])).code !== 0) {
    skip("it is built with Go, which is not here");
  }
  const limits = { timeoutMs: 1_800_000 };
  const got = await tryRun(
    "go",
    ["mod", "download", "-json", `k8s.io/kubernetes@v${VERSION}`],
    { ...limits, cwd: "/" },
  );
  if (got.code !== 0) skip(`go mod download failed: ${got.stdout}`);
  const own = await Deno.readTextFile(JSON.parse(got.stdout).GoMod);
  const staged = [...own.matchAll(/(k8s\.io\/[a-z0-9-]+) => \.\/staging/g)]
    .map(([, name]) => `\t${name} => ${name} v${VERSION.replace(/^1/, "0")}`);
  const cwd = await Deno.makeTempDir({ prefix: "soci-deno-kubelet-" });
  try {
    await Deno.writeTextFile(`${cwd}/main.go`, MAIN);
    await Deno.writeTextFile(
      `${cwd}/go.mod`,
      `module kubelet\n\ngo 1.24\n\nrequire k8s.io/kubernetes v${VERSION}\n\nreplace (\n${
        staged.join("\n")
      }\n)\n`,
    );
    for (
      const command of [
        ["mod", "tidy"],
        ["build", "-trimpath", "-o", "kubelet", "."],
      ]
    ) {
      const { code, stderr } = await tryRun("go", command, { ...limits, cwd });
      if (code !== 0) skip(`go ${command[0]} failed: ${stderr.slice(-2000)}`);
    }
    await Deno.mkdir(FOLDER, { recursive: true });
    await tryRun("mv", [`${cwd}/kubelet`, PROGRAM]);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

function skip(reason: string): never {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  Deno.exit(0);
}
