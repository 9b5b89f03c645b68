/**
 * `soci-deno build-index`: makes the SOCI index of an image straight from its registry.
 * @module
 */
import {
  buildZtocs,
  type BuiltLayer,
  fetchImage,
  pushConversion,
  pushIndexV1,
  resolveFamily,
} from "../lib/images/mod.ts";
import {
  type Descriptor,
  formatPlatform,
  hostPlatform,
  matchPlatform,
  parsePlatform,
} from "../lib/oci/mod.ts";
import { parseReference } from "../lib/registry/mod.ts";
import {
  type Command,
  parseCommandLine,
  parseSizeBytes,
  UsageError,
} from "./command.ts";
import { Progress, type ProgressTask } from "./progress.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";

const HELP = `
Make the SOCI index of an image and push it. The image's layers are read once, as a stream;
nothing is stored here, and the image stays as it is.

Usage: soci-deno build-index [flags] IMAGE

Without --to, a v1 index is pushed beside the image, as a referrer. With --to, a v2 index is
bound to a copy of the image's manifest under another tag; layers are shared.

Flags:
  --to TAG                push a converted image (v2) under this tag of the same repository
  -p, --platform OS/ARCH  index this platform (may be repeated; default: this machine's,
                          or the only one there is)
  --all-platforms         index every platform
  --span-size SIZE        least uncompressed bytes of a span (default 4MiB)
  --min-layer-size SIZE   leave smaller layers out (default 10MiB)
  -f, --force             build ztocs again even where an index exists
  --json                  the result as JSON
${REGISTRY_HELP}
`;

/** The `build-index` subcommand. */
export const buildIndexCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        to: { type: "string" },
        platform: { type: "string", short: "p", multiple: true },
        "all-platforms": { type: "boolean", default: false },
        "span-size": { type: "string", default: "4194304" },
        "min-layer-size": { type: "string", default: "10485760" },
        force: { type: "boolean", short: "f", default: false },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const [name, ...extra] = positionals;
    if (name === undefined || extra.length > 0) {
      throw new UsageError("say `build-index IMAGE`");
    }
    const spanSizeBytes = parseSizeBytes("--span-size", values["span-size"]);
    if (spanSizeBytes < 1) throw new UsageError("--span-size must be above 0");
    const minLayerSizeBytes = parseSizeBytes(
      "--min-layer-size",
      values["min-layer-size"],
    );
    if (values["all-platforms"] && values.platform !== undefined) {
      throw new UsageError("--platform and --all-platforms exclude each other");
    }
    const wanted = values.platform?.map(parsePlatform);
    const reference = parseReference(name);
    if (values.to !== undefined) reference.withTag(values.to); // checks the tag

    using client = registryClient(values);
    const stop = new AbortController();
    const interrupt = () => stop.abort(new Error("interrupted"));
    Deno.addSignalListener("SIGINT", interrupt);
    const family = await resolveFamily(client, reference);
    const chosen = chooseImages(family.images, {
      wanted,
      all: values["all-platforms"] || !family.isIndex,
    });
    using progress = new Progress();
    const tasks = new Map<string, ProgressTask>();
    const built = [];
    const results = [];
    for (const descriptor of chosen) {
      const image = await fetchImage(client, reference, descriptor);
      const index = await buildZtocs(image, {
        client,
        spanSizeBytes,
        minLayerSizeBytes,
        force: values.force,
        concurrency: Math.max(2, navigator.hardwareConcurrency),
        signal: stop.signal,
        onLayerStart: (layer) =>
          tasks.set(
            layer.digest,
            progress.task(layer.digest.slice(7, 19), layer.size),
          ),
        onProgress: (layer, bytes) => tasks.get(layer.digest)?.advance(bytes),
        onLayer: (layer) => {
          tasks.get(layer.layer.digest)?.finish("done");
          if (!values.json) {
            console.log(describeLayer(layer, minLayerSizeBytes));
          }
        },
      });
      built.push(index);
      const indexed = index.ztocs.length > 0 && values.to === undefined
        ? await pushIndexV1(client, index)
        : null;
      const platform = descriptor.platform === undefined
        ? null
        : formatPlatform(descriptor.platform);
      results.push({
        platform,
        manifest: image.descriptor.digest,
        index: indexed?.digest ?? null,
        layers: index.layers.map(({ layer, outcome }) => ({
          digest: layer.digest,
          mediaType: layer.mediaType,
          sizeBytes: layer.size,
          ...outcome,
        })),
      });
      if (indexed !== null && !values.json) {
        console.log(`pushed index ${indexed.digest}`);
      }
    }
    Deno.removeSignalListener("SIGINT", interrupt);
    const empty = built.every(({ ztocs }) => ztocs.length === 0);
    const conversion = empty || values.to === undefined
      ? null
      : await pushConversion(client, reference, family, built, values.to);
    if (values.json) {
      console.log(JSON.stringify(
        { image: reference.toString(), images: results, converted: conversion },
        null,
        2,
      ));
    } else if (conversion !== null) {
      for (const digest of conversion.indexes) {
        console.log(`pushed index ${digest}`);
      }
      console.log(
        `pushed ${reference.host}/${reference.repository}:${values.to} ${conversion.image.digest}`,
      );
    }
    if (empty) {
      console.error(
        "soci-deno build-index: no layer was indexed, so there is no index; see --min-layer-size",
      );
      return 1;
    }
    return 0;
  },
};

function chooseImages(
  images: readonly Descriptor[],
  { wanted, all }: {
    wanted: readonly ReturnType<typeof parsePlatform>[] | undefined;
    all: boolean;
  },
): readonly Descriptor[] {
  if (wanted === undefined && (all || images.length === 1)) return images;
  const platforms = wanted ?? [hostPlatform()];
  return platforms.map((platform) => {
    const found = images.find((image) =>
      image.platform === undefined
        ? images.length === 1
        : matchPlatform(platform, image.platform)
    );
    if (found !== undefined) return found;
    const offered = images.flatMap(({ platform }) =>
      platform === undefined ? [] : [formatPlatform(platform)]
    );
    throw new Error(
      `the image has no ${formatPlatform(platform)}; it has ${
        offered.join(", ")
      }`,
    );
  });
}

function describeLayer(
  { layer, outcome }: BuiltLayer,
  minLayerSizeBytes: number,
): string {
  const skipped = `ztoc skipped - layer ${layer.digest} (${layer.mediaType})`;
  switch (outcome.kind) {
    case "built":
      return `layer ${layer.digest} -> ztoc ${outcome.ztoc}`;
    case "reused":
      return `layer ${layer.digest} -> ztoc ${outcome.ztoc} (already exists)`;
    case "too-small":
      return `${skipped} size ${layer.size} is less than min-layer-size ${minLayerSizeBytes}`;
    case "unsupported":
    case "failed":
      return `${skipped} ${outcome.reason}`;
  }
}
