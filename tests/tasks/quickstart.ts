/**
 * `deno task quickstart`: the main job from end to end on this machine, with an embedded registry and
 * an image made from this machine's own programs. The registry is reached through a line of
 * 100 Mbit/s and 5 ms, as a registry elsewhere would be.
 *
 * With containerd and runc the container is started by them: lazily, lazily once more on another node
 * after the first start was recorded, and after a full pull. Without, the image is mounted lazily and
 * its program runs in a chroot.
 * @module
 */
import { formatBytes } from "../../cmd/command.ts";
import { parseManifest } from "../../lib/formats/oci/mod.ts";
import {
  type Containerd,
  ctrPull,
  ctrRun,
  sociDenoCommand,
  startContainerd,
} from "../support/host/mod.ts";
import {
  type Image,
  incompressible,
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { installPackages } from "../support/packages.ts";
import { startRegistry } from "../support/registry/mod.ts";

const LINK = { bitsPerSecond: 100e6, delayMs: 2.5 };
const IMAGE = "quickstart/python:1";
const PROGRAM = ["/usr/bin/python3", "/app/main.py"];
/** What an image brings along and a start does not read. */
const MODEL_BYTES = 64 * 2 ** 20;
const CONFIG = `[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;
/** Anyone who can push could add a pack: whoever trusts its registry says so. */
const WITH_PACKS = `${CONFIG}[load_order]
unpinned = true
`;
const NEEDED = [["busybox-static", "busybox"], ["python3", "python3"]] as const;
const FOR_CONTAINERS = [["containerd", "containerd"], [
  "runc",
  "runc",
]] as const;

/** Deno says so of each package that it has not got yet; it is no part of the story. */
// deno-lint-ignore no-control-regex -- colours are what it looks past
const DOWNLOAD = /^(\x1b\[[0-9;]*m)*(Download|Initialize) /;
const decoder = new TextDecoder();

function say(text: string): void {
  console.log(text);
}

/** Runs a subcommand as a user would; its output is shown. */
async function sociDeno(...args: string[]): Promise<void> {
  say(`$ soci-deno ${args.join(" ")}`);
  const command = sociDenoCommand(...args);
  const { success, stdout, stderr } = await new Deno.Command(command.program, {
    args: command.args,
  }).output();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  for (const line of text.trimEnd().split("\n")) {
    if (!DOWNLOAD.test(line)) say(`  ${line}`);
  }
  if (!success) throw new Error(`soci-deno ${args[0]} failed`);
}

/** A subcommand that stays. Resolves once `ready` appears in what it prints. */
async function startSociDeno(
  ready: string,
  ...args: string[]
): Promise<AsyncDisposable> {
  say(`$ soci-deno ${args.join(" ")} &`);
  const command = sociDenoCommand(...args);
  const child = new Deno.Command(command.program, {
    args: command.args,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let seen = "";
  const started = Promise.withResolvers<void>();
  const watch = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) {
      seen += decoder.decode(chunk);
      if (seen.includes(ready)) started.resolve();
    }
  };
  const watching = Promise.all([watch(child.stdout), watch(child.stderr)]);
  child.status.then(() =>
    started.reject(new Error(`soci-deno ${args[0]} ended:\n${seen}`))
  );
  await started.promise;
  return {
    async [Symbol.asyncDispose]() {
      started.promise.catch(() => {});
      child.kill("SIGINT");
      await child.status;
      await watching;
    },
  };
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await work();
  return [result, performance.now() - start];
}

async function runContainer(
  containerd: Containerd,
  image: string,
  snapshotter: string,
): Promise<string> {
  const result = await ctrRun(containerd, {
    image,
    id: `quickstart-${snapshotter}`,
    snapshotter,
    args: PROGRAM,
  });
  if (result.code !== 0) throw new Error(result.stderr);
  return result.stdout.trim();
}

function report(
  rows: ReadonlyArray<{ how: string; bytes: number; ms: number }>,
  totalBytes: number,
): void {
  say("");
  say("                      to first output      fetched");
  for (const { how, bytes, ms } of rows) {
    const share = `${(100 * bytes / totalBytes).toFixed(1)} %`;
    say(
      `  ${how.padEnd(18)} ${(ms / 1000).toFixed(2).padStart(9)} s ${
        formatBytes(bytes).padStart(15)
      }  ${share} of ${formatBytes(totalBytes)}`,
    );
  }
}

/** Programs of this machine, and a large file beside them. */
function quickstartImage(): Image {
  const model = new TarBuilder()
    .file("app/model", incompressible(MODEL_BYTES));
  return makeImage({
    layers: [
      ...programImage().layers,
      layerBlob(model, { compression: "none" }),
    ],
    config: { env: ["PYTHONDONTWRITEBYTECODE=1"], cmd: PROGRAM },
  });
}

/** A node of its own: our daemon and containerd. */
interface Node extends AsyncDisposable {
  readonly containerd: Containerd;
  /** Where the daemon keeps everything. */
  readonly root: string;
  /** Pulls an image and runs it. @returns what it printed, and how long both took. */
  start(image: string): Promise<[output: string, ms: number]>;
}

async function startNode(folder: string, config: string): Promise<Node> {
  await using stack = new AsyncDisposableStack();
  await Deno.mkdir(folder);
  const socket = `${folder}/soci.sock`;
  const root = `${folder}/root`;
  await Deno.writeTextFile(`${folder}/config.toml`, config);
  stack.use(
    await startSociDeno(
      "serving",
      ...["serve", "--address", socket, "--root", root],
      ...["--config", `${folder}/config.toml`],
    ),
  );
  const containerd = stack.use(
    await startContainerd({
      proxySnapshotters: [{ name: "soci", address: socket }],
    }),
  );
  const all = stack.move();
  return {
    containerd,
    root,
    start: (image) =>
      timed(async () => {
        await sociDeno("pull", "--address", containerd.address, image);
        return await runContainer(containerd, image, "soci");
      }),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

if (Deno.uid() !== 0) {
  console.error("the quickstart mounts file systems: run it as root");
  Deno.exit(1);
}
const missing = installPackages(NEEDED);
if (missing.length > 0) {
  console.error(`install these Debian packages first: ${missing.join(" ")}`);
  Deno.exit(1);
}
const withContainers = installPackages(FOR_CONTAINERS).length === 0;

const folder = await Deno.makeTempDir({ prefix: "soci-deno-quickstart-" });
try {
  await using registry = startRegistry();
  const image = quickstartImage();
  await pushImage(registry.host, IMAGE, image);
  const near = `${registry.host}/${IMAGE}`;
  say(`an image of this machine's Python is at ${near}`);
  await sociDeno("build-index", "--min-layer-size", "0", near);

  await using link = await throttle(registry.host, LINK);
  const far = `${link.host}/${IMAGE}`;
  const { layers } = parseManifest(image.manifest);
  const totalBytes = layers.reduce(
    (sum, layer) => sum + layer.size,
    0,
  );
  say(`\nfrom here on over 100 Mbit/s with 5 ms: ${far}`);

  if (withContainers) {
    const recording = `${folder}/recording`;
    let lazyMs: number;
    {
      await using node = await startNode(`${folder}/first`, CONFIG);
      let output: string;
      [output, lazyMs] = await node.start(far);
      say(`the container printed ${output}`);
      say("\nwhat that start read is recorded and published:");
      await sociDeno(
        ...["record", "--until-exit", "--output", recording],
        ...["--root", node.root, "--address", node.containerd.address, near],
      );
    }
    const lazyBytes = link.bytes();
    await sociDeno("order", "push", near, recording);

    say("\nanother node starts the image:");
    await using node = await startNode(`${folder}/second`, WITH_PACKS);
    const [, packMs] = await node.start(far);
    const packBytes = link.bytes() - lazyBytes;

    // Another containerd, so that nothing of the first pull is there.
    await using eager = await startContainerd();
    const [, fullMs] = await timed(async () => {
      await ctrPull(eager, far);
      return await runContainer(eager, far, "overlayfs");
    });
    report([
      {
        how: "full pull",
        bytes: link.bytes() - lazyBytes - packBytes,
        ms: fullMs,
      },
      { how: "soci-deno, lazily", bytes: lazyBytes, ms: lazyMs },
      { how: "with its recording", bytes: packBytes, ms: packMs },
    ], totalBytes);
  } else {
    say("containerd or runc is not here: a lazy mount and a chroot instead");
    const target = `${folder}/image`;
    await Deno.mkdir(target);
    const [mounted, mountMs] = await timed(() =>
      startSociDeno(
        "is at",
        "mount",
        "--no-background",
        "--root",
        `${folder}/root`,
        far,
        target,
      )
    );
    await using _mounted = mounted;
    const [{ stdout }, runMs] = await timed(() =>
      new Deno.Command("chroot", { args: [target, ...PROGRAM] }).output()
    );
    say(`the program printed ${decoder.decode(stdout).trim()}`);
    const lazyBytes = link.bytes();
    const [, fullMs] = await timed(async () => {
      for (const { digest } of layers) {
        const response = await fetch(
          `http://${link.host}/v2/quickstart/python/blobs/${digest}`,
        );
        await response.body?.pipeTo(new WritableStream());
      }
    });
    report([
      { how: "soci-deno, lazily", bytes: lazyBytes, ms: mountMs + runMs },
      { how: "download alone", bytes: link.bytes() - lazyBytes, ms: fullMs },
    ], totalBytes);
  }
} finally {
  await Deno.remove(folder, { recursive: true }).catch(() => {});
}
Deno.exit(0);
