/**
 * `deno task critest`: the Kubernetes project's tests of a container runtime, on a containerd 2 whose images are lazy,
 * and once more on overlayfs: what fails on both is not ours. It is built with Go, once a machine, for some minutes.
 * Arguments go to critest: `--ginkgo.focus=Image`.
 * @module
 */
import { LazyHost, sociDeno } from "../e2e/host.ts";
import { newerContainerd } from "../support/peer/mod.ts";
import {
  type Containerd,
  startContainerd,
  tryRun,
  writeHostsToml,
} from "../support/host/mod.ts";
import {
  addBusybox,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";

const VERSION = "v1.37.0";
const FOLDER = `/var/tmp/soci-deno-critest-${VERSION}`;
const PROGRAM = `${FOLDER}/critest`;
/** Of critest itself; the largest sets of tests take some minutes. */
const LIMIT_MS = 1_500_000;
/** Programs of busybox that its tests run, beside those of all our images. */
const APPLETS = [
  ...["top", "pgrep", "hostname", "httpd", "netstat", "ip", "mount", "umount"],
  ...[
    "wget",
    "nslookup",
    "kill",
    "ping",
    "tee",
    "sysctl",
    "ifconfig",
    "printf",
  ],
];
const STAGING = "k8s-staging-cri-tools";

if (Deno.uid() !== 0) skip("it runs containers: run it as root");
const newer = await newerContainerd("2");
if ("reason" in newer) skip(newer.reason);
if ((await tryRun("test", ["-x", PROGRAM])).code !== 0) await build();

await using registry = startRegistry();
await pushImages();
await using host = await LazyHost.start({
  config: `
[pull_modes.soci_v1]
enable = true
[resolver]
config_path = "${await hostsFolder("daemon", ["referrers"])}"
`,
  binDir: newer.binDir,
});
const results = new Map<string, Result>();
for (const snapshotter of ["soci", "overlayfs"]) {
  await using containerd = await startContainerd({
    binDir: newer.binDir,
    proxySnapshotters: [{ name: "soci", address: host.socket }],
    cri: {
      snapshotter,
      sandboxImage: `${registry.host}/pause:1`,
      // 2.1 takes no file that says more.
      registryConfigDir: await hostsFolder("containerd"),
    },
  });
  results.set(snapshotter, await critest(containerd, snapshotter));
}
const ours = results.get("soci")!;
const theirs = results.get("overlayfs")!;
const alone = [...ours.failed].filter((name) => !theirs.failed.has(name));
for (const name of ours.failed) {
  console.log(
    `  ${alone.includes(name) ? "FAIL" : "fails on overlayfs, too:"} ${name}`,
  );
}
console.log(
  `on overlayfs ${theirs.passed} passed and ${theirs.failed.size} failed`,
);
const lazy = host.logs().match(/layer is served/g)?.length ?? 0;
console.log(`${lazy} layers were served lazily; the output is in ${FOLDER}`);
console.log(
  `${ours.passed} passed, ${alone.length} failed, ${
    ours.failed.size - alone.length
  } skipped`,
);
if (alone.length > 0 || ours.passed === 0 || lazy === 0) Deno.exitCode = 1;

/** What became of the tests that ran. */
interface Result {
  readonly passed: number;
  /** By name. */
  readonly failed: ReadonlySet<string>;
}

async function critest(
  { address }: Containerd,
  name: string,
): Promise<Result> {
  const images = await Deno.makeTempFile({ prefix: "soci-deno-critest-" });
  await Deno.writeTextFile(
    images,
    `defaultTestContainerImage: registry.k8s.io/e2e/busybox:1
webServerTestImage: registry.k8s.io/e2e/web:1
`,
  );
  const ran = await tryRun(PROGRAM, [
    ...["--runtime-endpoint", `unix://${address}`],
    ...["--image-endpoint", `unix://${address}`],
    ...["--test-images-file", images, "--ginkgo.no-color"],
    ...Deno.args,
  ], { timeoutMs: LIMIT_MS });
  await Deno.remove(images);
  await Deno.writeTextFile(`${FOLDER}/${name}.log`, ran.stdout + ran.stderr);
  const [, passed] = ran.stdout.match(/-- (\d+) Passed/) ?? [];
  if (passed === undefined) {
    console.log(ran.stdout.slice(-5_000) + ran.stderr.slice(-2_000));
  }
  const [, summary = ""] = ran.stdout.split(/^Summarizing \d+ Failures?:$/m);
  return {
    passed: Number(passed ?? 0),
    failed: new Set(
      [...summary.matchAll(/^ +\[FAIL\] (.*)$/gm)].map(([, test]) => test!),
    ),
  };
}

/** Where containerd and the daemon find the registry in the place of those that critest names. */
async function hostsFolder(
  name: string,
  more: readonly string[] = [],
): Promise<string> {
  const folder = `${FOLDER}/hosts/${name}`;
  const capabilities = JSON.stringify(["pull", "resolve", ...more]);
  await Deno.mkdir(folder, { recursive: true });
  for (const host of ["registry.k8s.io", "gcr.io", "k8s.gcr.io"]) {
    await Deno.mkdir(`${folder}/${host}`, { recursive: true });
    await Deno.writeTextFile(
      `${folder}/${host}/hosts.toml`,
      `server = "http://${registry.host}"
[host."http://${registry.host}"]
  capabilities = ${capabilities}
`,
    );
  }
  await writeHostsToml(folder, registry.host, { scheme: "http" });
  return folder;
}

/** Images of those names: all of them are busybox, and each is another one where it must be. */
async function pushImages(): Promise<void> {
  const base = addBusybox(new TarBuilder());
  for (const applet of APPLETS) base.symlink(`bin/${applet}`, "busybox");
  const etc = new TarBuilder().dir("etc").dir("tmp", { mode: 0o1777 })
    .dir("www").file("www/index.html", "Welcome to nginx!\n")
    .file(
      "etc/passwd",
      "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\ndefault-user:x:1000:1000::/:/bin/sh\n",
    ).file(
      "etc/group",
      "root:x:0:\nwww-data:x:33:\ndefault-group:x:1000:\ngroup-defined-in-image:x:50000:default-user\n",
    );
  const layers = [
    layerBlob(base),
    layerBlob(etc),
  ];
  const env = ["PATH=/bin"];
  const cmd = ["/bin/sh"];
  const plain = makeImage({ layers, config: { env, cmd } });
  const push = async (name: string, image = plain) => {
    await pushImage(registry.host, name, image);
    const { code, stderr } = await sociDeno(
      ...["build-index", "--min-layer-size", "0", `${registry.host}/${name}`],
    );
    if (code !== 0) throw new Error(stderr);
  };
  const other = (at: number | string) =>
    makeImage({
      layers: [
        ...layers,
        layerBlob(new TarBuilder().file("which", String(at))),
      ],
      config: { env, cmd },
    });
  await pushImage(registry.host, "pause:1", pauseImage());
  await push("pause:3.9", pauseImage());
  await push("e2e/busybox:1");
  await push(
    "e2e/web:1",
    makeImage({
      layers,
      config: { env, cmd: ["/bin/httpd", "-f", "-p", "80", "-h", "/www"] },
    }),
  );
  for (const at of [1, 2, 3]) {
    await push(`${STAGING}/test-image-${at}:latest`, other(at));
    await push(`${STAGING}/test-image-tags:${at}`, other("tags"));
  }
  await push(`${STAGING}/test-image-latest:latest`, other("latest"));
  await push(`${STAGING}/test-image-tag:test`, other("test"));
  await push(`${STAGING}/test-image-tag:all`, other("all"));
  const users: Record<string, string> = {
    "user-uid": "1002",
    "user-username": "www-data",
    "user-uid-group": "1003:100",
    "user-username-group": "www-data:100",
    "predefined-group": "1000",
  };
  for (const [name, user] of Object.entries(users)) {
    await push(
      `${STAGING}/test-image-${name}:latest`,
      makeImage({ layers, config: { env, cmd, user } }),
    );
  }
}

async function build(): Promise<void> {
  if ((await tryRun("sh", ["-c", "command -v go"])).code !== 0) {
    skip("it is built with Go, which is not here");
  }
  const limits = { timeoutMs: 1_200_000 };
  const got = await tryRun(
    "go",
    ["mod", "download", "-json", `sigs.k8s.io/cri-tools@${VERSION}`],
    { ...limits, cwd: "/" },
  );
  if (got.code !== 0) skip(`go mod download failed: ${got.stdout}`);
  const work = await Deno.makeTempDir({ prefix: "soci-deno-critest-" });
  try {
    const { Dir } = JSON.parse(got.stdout);
    await tryRun("cp", ["-r", `${Dir}/.`, work], limits);
    await tryRun("chmod", ["-R", "u+w", work], limits);
    const { code, stderr } = await tryRun(
      "go",
      ["test", "-c", "-trimpath", "-o", "critest.test", "./cmd/critest"],
      { ...limits, cwd: work },
    );
    if (code !== 0) skip(`go test -c failed: ${stderr.slice(-2000)}`);
    await Deno.mkdir(FOLDER, { recursive: true });
    await tryRun("mv", [`${work}/critest.test`, PROGRAM]);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

function skip(reason: string): never {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  Deno.exit(0);
}
