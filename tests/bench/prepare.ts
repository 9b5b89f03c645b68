/**
 * `deno task bench:prepare`: how long it takes until a layer can be used.
 *
 * - From ztoc to EROFS image: one layer of 100 000 files, step by step, the first one in a process that
 *   has the daemon's flags and has warmed up as the daemon does.
 * - An image of 32 layers, asked for layer by layer as containerd does, over a line of 100 Mbit/s and
 *   5 ms, by a daemon that has just started: against three round trips and the bare transfer of the
 *   same index and ztocs over the same line.
 *
 * The number of rounds is the argument (5 when not given); each is a new daemon with an empty disk, an
 * ext4 of its own: where thousands of files were removed a moment ago, as by the round before, ext4
 * passes over each one's inode for a minute and more before it makes a new file.
 * @module
 */
import { writeErofsImage } from "../../lib/formats/erofs/mod.ts";
import {
  isRpcError,
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import { warmUp } from "../../lib/images/warmup/warm_up.ts";
import { LayerTree } from "../../lib/layers/tree/mod.ts";
import { compileTree } from "../../lib/layers/compiler/mod.ts";
import type { Digest } from "../../lib/formats/oci/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../lib/remote/registry/mod.ts";
import { discoverIndex } from "../../lib/remote/image/mod.ts";
import { chainIdOf } from "../../lib/remote/image/chain.ts";
import { ztocForLayer } from "../../lib/formats/soci/mod.ts";
import { HeaderTable } from "../../lib/layers/spans/mod.ts";
import {
  decodeZtoc,
  encodeZtoc,
  spanTable,
  ZtocBuilder,
} from "../../lib/formats/ztoc/mod.ts";
import { V8_FLAGS } from "../../tools/binary/launcher.ts";
import { buildIndex, LazyHost } from "../e2e/host.ts";
import { pause, startDockerRegistry } from "../support/host/mod.ts";
import {
  type Image,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { chart } from "./chart.ts";
import { saveResults } from "./results.ts";
import { median, printMachine, printTable, run, timed } from "./support.ts";

const LINE = { bitsPerSecond: 100e6, delayMs: 2.5 };
const ROUND_TRIP_MS = 2 * LINE.delayMs;
const REPOSITORY = "bench/prepare";
const LAYERS = 32;
const FILES = 400;
const FILE_BYTES = 6_000;
const MANY_FILES = 100_000;
const DISK_BYTES = 2 * 2 ** 30;
/** The daemon exercises itself when it has come up; a pull comes later than that. */
const AFTER_START_MS = 3_000;

/** A layer as of a package: some hundred files in some folders. */
function packageLayer(layer: number) {
  const tar = new TarBuilder();
  for (let i = 0; i < FILES; i++) {
    if (i % 20 === 0) tar.dir(`usr/l${layer}/d${i / 20}`);
    tar.file(
      `usr/l${layer}/d${Math.floor(i / 20)}/file-${i}`,
      incompressible(FILE_BYTES, layer + i),
    );
  }
  return layerBlob(tar);
}

/** The ztoc of a layer of many files, as it comes from a registry. */
function largeZtoc(): Uint8Array<ArrayBuffer> {
  const tar = new TarBuilder();
  for (let i = 0; i < MANY_FILES; i++) {
    if (i % 50 === 0) tar.dir(`usr/share/d${i / 50}`);
    tar.file(`usr/share/d${Math.floor(i / 50)}/some-file-${i}`, "some text");
  }
  const builder = new ZtocBuilder({
    compression: "gzip",
    spanSize: 4 * 2 ** 20,
  });
  builder.push(layerBlob(tar).bytes);
  return encodeZtoc(builder.finish().ztoc);
}

/** Milliseconds of each step from a ztoc's bytes to what the kernel mounts. */
function steps(bytes: Uint8Array<ArrayBuffer>, folder: string) {
  const took: Record<string, number> = {};
  let last = performance.now();
  const step = (name: string) => {
    const now = performance.now();
    took[name] = now - last;
    last = now;
  };
  const ztoc = decodeZtoc(bytes);
  step("read the ztoc");
  const spans = spanTable(ztoc);
  const starts = Float64Array.from(
    { length: spans.count },
    (_, span) => spans.start(span),
  );
  step("spans");
  const tree = compileTree({
    entries: ztoc.entries,
    spanStarts: starts,
    dataSize: ztoc.uncompressedSize,
  });
  step("make the tree");
  const opened = new LayerTree(tree);
  step("open the tree");
  const dataBytes = opened.spanStarts[opened.spans]!;
  const image = writeErofsImage(opened, {
    blobBytes: Math.ceil(dataBytes / 512) * 512,
    treeChecksum: opened.checksum,
  });
  step("make the EROFS image");
  Deno.writeFileSync(`${folder}/tree`, tree);
  Deno.writeFileSync(`${folder}/erofs`, image);
  step("write both");
  HeaderTable.open(`${folder}/headers`, ztoc, spans)[Symbol.dispose]();
  step("table of tar headers, written");
  return { took, treeBytes: tree.length, imageBytes: image.length };
}

/** In a process of its own: what `steps` takes the first time after the daemon's warm-up. */
async function stepsOnce(ztocFile: string): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-bench-" });
  try {
    await warmUp(`${folder}/scratch`, () => true);
    const found = steps(Deno.readFileSync(ztocFile), folder);
    console.log(JSON.stringify(found));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function compileSteps(rounds: number) {
  const bytes = largeZtoc();
  const ztocFile = await Deno.makeTempFile({ prefix: "soci-deno-bench-" });
  await Deno.writeFile(ztocFile, bytes);
  const found: ReturnType<typeof steps>[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      const flags = ["-A", "--no-check", `--v8-flags=${V8_FLAGS.join()}`];
      const text = await run(Deno.execPath(), [
        ...["run", ...flags, new URL(import.meta.url).pathname],
        ...["--steps", ztocFile],
      ]);
      found.push(JSON.parse(text));
    }
  } finally {
    await Deno.remove(ztocFile);
  }
  const names = Object.keys(found[0]!.took);
  const medians = names.map((name) =>
    median(found.map(({ took }) => took[name]!))
  );
  const image = names.indexOf("make the EROFS image") + 1;
  const sums = (upTo: number) =>
    found.map(({ took }) =>
      Object.values(took).slice(0, upTo).reduce((sum, ms) => sum + ms, 0)
    );
  const row = (name: string, values: number[]) => [
    name,
    median(values).toFixed(0),
    Math.max(...values).toFixed(0),
  ];
  printTable(
    `${MANY_FILES} files, ztoc of ${
      (bytes.length / 1e6).toFixed(1)
    } MB to image of ${(found[0]!.imageBytes / 1e6).toFixed(1)} MB, ms`,
    ["", "median", "longest"],
    [
      ...names.map((name) => row(name, found.map(({ took }) => took[name]!))),
      row("from ztoc to image (goal: 250)", sums(image)),
      row("all", sums(names.length)),
    ],
  );
  return { names, medians, fromZtocToImageMs: sums(image) };
}

/** What a node must get before it can show the image: bytes of index and ztocs. */
async function neededBytes(host: string, image: Image): Promise<number> {
  using client = new RegistryClient();
  const reference = parseReference(`${host}/${REPOSITORY}:1`);
  const found = await discoverIndex(
    client,
    reference,
    { digest: image.digest as Digest, bytes: Promise.resolve(image.manifest) },
    { v1: true, v2: true, explicitDigest: null },
  );
  if (found === null) throw new Error("the image has no index");
  const { bytes } = await client.manifest(reference, { digest: found.digest });
  const ztocs = image.layers.map(({ digest }) =>
    ztocForLayer(found.index, digest as Digest)
  );
  return bytes.length +
    ztocs.reduce((sum, ztoc) => sum + (ztoc?.size ?? 0), 0);
}

/** Milliseconds of one transfer of so many bytes over the line, without its round trip. */
async function bareTransfer(
  host: string,
  image: Image,
  bytes: number,
): Promise<number> {
  const fetchBytes = async (count: number) => {
    let left = count;
    for (const { digest, bytes } of image.layers) {
      const part = Math.min(left, bytes.length);
      if (part === 0) break;
      left -= part;
      const response = await fetch(
        `http://${host}/v2/${REPOSITORY}/blobs/${digest}`,
        { headers: { range: `bytes=0-${part - 1}` } },
      );
      await response.arrayBuffer();
    }
  };
  await fetchBytes(1); // the connection is made
  const { ms } = await timed(() => fetchBytes(bytes));
  return ms - ROUND_TRIP_MS;
}

/** An empty file system, mounted; taken away by the stack. */
async function emptyDisk(stack: AsyncDisposableStack): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const disk = `${folder}/disk`;
  const mountpoint = `${folder}/mnt`;
  await Deno.mkdir(mountpoint);
  await Deno.writeFile(disk, new Uint8Array());
  await Deno.truncate(disk, DISK_BYTES);
  await run("mkfs.ext4", ["-q", disk]);
  await run("mount", ["-o", "loop", disk, mountpoint]);
  stack.defer(async () => {
    await run("umount", ["-l", mountpoint]);
  });
  return mountpoint;
}

/** Asks a daemon that has just started for every layer, as containerd does. */
async function prepareAll(
  link: string,
  image: Image,
): Promise<{ firstMs: number; allMs: number }> {
  await using stack = new AsyncDisposableStack();
  const root = `${await emptyDisk(stack)}/root`;
  const host = stack.use(await LazyHost.start({ daemon: { root } }));
  await pause(AFTER_START_MS);
  const channel = new RpcChannel({
    socketPath: `${host.folder}/soci.sock`,
    namespace: "default",
  });
  try {
    const snapshots = new SnapshotsClient(channel, "soci");
    let parent: Digest | "" = "";
    let firstMs = 0;
    const started = performance.now();
    for (const [i, { digest, diffId }] of image.layers.entries()) {
      const chainId = chainIdOf(parent, diffId as Digest);
      const labels = {
        "containerd.io/snapshot.ref": chainId,
        "containerd.io/snapshot/cri.image-ref": `${link}/${REPOSITORY}:1`,
        "containerd.io/snapshot/cri.manifest-digest": image.digest,
        "containerd.io/snapshot/cri.layer-digest": digest,
      };
      try {
        await snapshots.prepare(`extract-${i}`, parent, { labels });
        throw new Error(`layer ${i} is not served lazily\n${host.logs()}`);
      } catch (error) {
        if (!isRpcError(error, "ALREADY_EXISTS")) throw error;
      }
      parent = chainId;
      if (i === 0) firstMs = performance.now() - started;
    }
    await snapshots.prepare("container", parent);
    return { firstMs, allMs: performance.now() - started };
  } finally {
    channel[Symbol.dispose]();
  }
}

async function prepareImage(rounds: number) {
  await using registry = await startDockerRegistry();
  const image = makeImage({
    layers: Array.from({ length: LAYERS }, (_, i) => packageLayer(i)),
    config: { cmd: ["/bin/sh"] },
  });
  await pushImage(registry.host, `${REPOSITORY}:1`, image);
  await buildIndex(
    "--min-layer-size",
    "0",
    `${registry.host}/${REPOSITORY}:1`,
  );
  await using link = await throttle(registry.host, LINE);
  const bytes = await neededBytes(registry.host, image);
  const bare: number[] = [];
  const ours: { firstMs: number; allMs: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    bare.push(await bareTransfer(link.host, image, bytes));
    ours.push(await prepareAll(link.host, image));
  }
  const limit = 3 * ROUND_TRIP_MS + median(bare);
  const all = median(ours.map(({ allMs }) => allMs));
  printTable(
    `An image of ${LAYERS} layers of ${FILES} files, index and ztocs of ${
      (bytes / 1e3).toFixed(0)
    } kB, median of ${rounds}`,
    ["", "ms"],
    [
      ["bare transfer of index and ztocs", median(bare).toFixed(0)],
      ["that and three round trips", limit.toFixed(0)],
      [
        "first layer is served",
        median(ours.map(({ firstMs }) => firstMs)).toFixed(0),
      ],
      ["all are, and the container's snapshot is prepared", all.toFixed(0)],
      ["more (goal: 150)", (all - limit).toFixed(0)],
    ],
  );
  return { bytes, bare, ours, limit };
}

if (Deno.args[0] === "--steps") {
  await stepsOnce(Deno.args[1]!);
  Deno.exit(0);
}
printMachine();
const rounds = Number(Deno.args[0] ?? 5);
// The image first: what the other part writes would be on its way to the disk.
const prepared = await prepareImage(rounds);
const compiled = await compileSteps(rounds);
const saved = saveResults("prepare", { rounds, compiled, prepared });
await Deno.writeTextFile(
  saved.replace(/json$/, "svg"),
  chart({
    title: `From ztoc to EROFS image, ${MANY_FILES} files`,
    unit: "ms",
    groups: compiled.names,
    series: [{ name: "median", values: compiled.medians }],
  }),
);
console.log(`\nsaved: ${saved} and a chart beside it`);
