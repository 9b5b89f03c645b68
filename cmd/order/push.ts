/** `soci-deno order push`. @module */
import {
  carryOver,
  DEFAULT_SUPPORT,
  listOrders,
  makeOrder,
  mergeRecordings,
  openOrderedImage,
  type OrderedImage,
  platformOf,
  putOrder,
  readOrder,
  RecordingsFolder,
  removeOrder,
  type SharedOrder,
  ztocsOfImage,
} from "../../lib/images/order/mod.ts";
import { parsePlatform } from "../../lib/formats/oci/mod.ts";
import {
  DEFAULT_WORKLOAD,
  type Recording,
} from "../../lib/formats/order/mod.ts";
import { RegistryPlace } from "../../lib/remote/content/mod.ts";
import {
  parseReference,
  type Reference,
  type RegistryClient,
} from "../../lib/remote/registry/mod.ts";
import {
  type Command,
  formatBytes,
  parseCommandLine,
  parseSizeBytes,
  UsageError,
} from "../command.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "../registry_flags.ts";
import { daemonRoot, DEFAULT_ROOT } from "../root.ts";
import { StopSignal } from "../stop_signal.ts";
import { readRecording, shareFlag, workloadFlag } from "./common.ts";

const HELP = `
Make the load order of recordings and put it beside the image in its registry: the plan, and the pack
of the bytes it names, out of the image's own layers. An older one of the same workload is removed.

Usage:
  soci-deno order push [flags] IMAGE RECORDING…
  soci-deno order push --learned [flags] IMAGE      of what the daemon here recorded of the repository

The image needs an index (\`soci-deno build-index\`). An order that is found beside an image is used by
daemons that allow it (\`[load_order] unpinned\`); \`build-index --to\` and \`convert\` pin one instead, with
--load-order.

Flags:
  --workload NAME         which workload it is for (default: the first recording's; with --learned:
                          those recordings alone, default "${DEFAULT_WORKLOAD}")
  --root DIR              the daemon's root, for --learned (default ${DEFAULT_ROOT};
                          also SOCI_SNAPSHOTTER_ROOT)
  --support SHARE         keep what this share of the runs touched (default ${DEFAULT_SUPPORT})
  --share IMAGE           use frames of that image's packs where most of one is wanted, as for a base
                          image in the same registry (may be repeated)
  --no-pack               the order alone: daemons fetch spans in this order
  --read-ahead SIZE       what the kernel reads ahead while it serves from a pack: so much is taken along
                          around each touch, inside its file (default 32KiB)
  --max-size SIZE         the most bytes, uncompressed (default 256MiB)
  --keep-old              remove none
  --json                  the result as JSON
${REGISTRY_HELP}
`;

/** What the daemon recorded of an image's repository, whatever the tag: layers are known by digest. */
async function learnedOf(
  reference: Reference,
  root: string,
  workload: string = DEFAULT_WORKLOAD,
): Promise<Recording[]> {
  const recordings = new RecordingsFolder(`${root}/recordings`);
  const own = await recordings.of(reference, workload);
  if (own.length > 0) return own;
  const { host, repository } = reference;
  throw new Error(
    `${recordings.folder} has no recording of ${host}/${repository} and workload ${workload}: name the image in \`[recording] images\` and start it`,
  );
}

/** Recordings of other tags of the repository, as far as the image has the same files. */
async function carryAll(
  recordings: readonly Recording[],
  image: OrderedImage,
  signal: AbortSignal,
): Promise<Recording[]> {
  const own: Recording[] = [];
  for (const one of recordings) {
    try {
      own.push(await carryOver(one, image, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Error)) throw error;
      console.error(
        `only layers that the image shares with ${one.image} count: ${error.message}`,
      );
      own.push(one);
    }
  }
  return own;
}

/** The orders of another image that have packs: of the same workload first. */
async function sharedOrders(
  client: RegistryClient,
  reference: Reference,
  { platform, workload }: Recording,
  signal: AbortSignal,
): Promise<SharedOrder[]> {
  const image = await openOrderedImage(
    client,
    reference,
    platform === "" ? undefined : parsePlatform(platform),
    signal,
  );
  const orders = (await listOrders(image, signal, () => {}))
    .filter(({ packBytes }) => packBytes > 0)
    .sort((a, b) =>
      Number(b.workload === workload) - Number(a.workload === workload)
    );
  return await Promise.all(orders.map(async (one) => ({
    order: await readOrder(image, one, signal),
    source: image.place,
  })));
}

/** The `order push` subcommand. */
export const orderPushCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        workload: { type: "string" },
        learned: { type: "boolean", default: false },
        root: { type: "string" },
        support: { type: "string", default: String(DEFAULT_SUPPORT) },
        share: { type: "string", multiple: true },
        "no-pack": { type: "boolean", default: false },
        "read-ahead": { type: "string", default: "32KiB" },
        "max-size": { type: "string", default: "256MiB" },
        "keep-old": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const [name, ...files] = positionals;
    if (name === undefined || (files.length === 0) !== values.learned) {
      throw new UsageError("say `order push IMAGE RECORDING…`, or --learned");
    }
    const reference = parseReference(name);
    const readAheadBytes = parseSizeBytes("--read-ahead", values["read-ahead"]);
    const maxBytes = parseSizeBytes("--max-size", values["max-size"]);
    const workload = workloadFlag(values.workload);
    const minSupport = shareFlag("--support", values.support);
    const recordings = values.learned
      ? await learnedOf(reference, daemonRoot(values.root), workload)
      : await Promise.all(files.map(readRecording));
    using client = registryClient(values, reference.host);
    using stop = new StopSignal();
    const { signal } = stop;
    const [first] = recordings;
    const platform = first === undefined || first.platform === ""
      ? undefined
      : parsePlatform(first.platform);
    const image = await openOrderedImage(client, reference, platform, signal);
    const own = await carryAll(recordings, image, signal);
    const recording = mergeRecordings(own, { minSupport, workload });
    const { descriptor: { mediaType, digest, size }, manifest } = image.image;
    const others = (values.share ?? []).map((text) => parseReference(text));
    const far = others.find(({ host }) => host !== reference.host);
    if (far !== undefined) {
      throw new UsageError(`--share ${far}: it is in another registry`);
    }
    const shared = [];
    for (const other of others) {
      shared.push(...await sharedOrders(client, other, recording, signal));
    }
    // Registries that mount a blob from another repository need not get it again.
    const sink = others[0] === undefined
      ? image.place
      : new RegistryPlace(client, reference, {
        mountFrom: others[0].repository,
      });
    const made = await makeOrder({
      shared,
      recording: { ...recording, platform: platformOf(image) },
      layers: manifest.layers,
      ztocOf: await ztocsOfImage(image, signal),
      source: image.place,
      pack: values["no-pack"] ? "none" : "made",
      readAheadBytes,
      maxBytes,
      subject: { mediaType, digest, size },
      signal,
      onSpan: () => {},
    });
    const old = values["keep-old"]
      ? []
      : (await listOrders(image, signal, () => {})).filter((one) =>
        !one.isPinned && one.workload === made.workload &&
        one.platform === made.platform &&
        one.descriptor.digest !== made.descriptor.digest
      );
    await putOrder(made, sink, signal);
    for (const one of old) {
      await removeOrder(image, one, signal).catch((error) =>
        console.error(
          `the older order ${one.descriptor.digest} stays: ${error.message}`,
        )
      );
    }
    const { contents: _, descriptor, ...facts } = made;
    if (facts.leftOutBytes > 0) {
      console.error(
        `${
          formatBytes(facts.leftOutBytes)
        } of the recording are of layers that this image does not have or did not index`,
      );
    }
    console.log(
      values.json
        ? JSON.stringify({ digest: descriptor.digest, ...facts }, null, 2)
        : `${descriptor.digest}  ${facts.workload}: ${facts.ranges} ranges, ${
          formatBytes(facts.bytes)
        }; plan ${formatBytes(facts.planBytes)}, pack ${
          formatBytes(facts.packBytes)
        }${
          facts.sharedBytes === 0
            ? ""
            : `, ${formatBytes(facts.sharedBytes)} by other images' packs`
        }`,
    );
    return 0;
  },
};
