/**
 * `soci-deno build-index`: makes the SOCI index of an image, by default straight from its registry
 * and back to it.
 * @module
 */
import {
  type ArtifactSink,
  ContentError,
  firstOf,
  type ImageSource,
  openLocalImage,
  RegistryPlace,
} from "../lib/remote/content/mod.ts";
import {
  buildZtocs,
  type BuiltImage,
  type Converted,
  convertImage,
  databaseLedger,
  existingIndexLedger,
  keepIndexV1,
  putIndexV1,
  type ZtocLedger,
} from "../lib/indexes/indexing/mod.ts";
import { PIN_HELP, pinOrders } from "./order/pin.ts";
import {
  type Image,
  type ImageFamily,
  readFamily,
} from "../lib/remote/image/mod.ts";
import { formatPlatform } from "../lib/formats/oci/mod.ts";
import type { WindowBytes } from "../lib/formats/ztoc/mod.ts";
import {
  parseReference,
  type Reference,
  type RegistryClient,
} from "../lib/remote/registry/mod.ts";
import {
  BUILD_OPTIONS,
  type BuildFlags,
  buildHelp,
  BuildReport,
  EMPTY_INDEX,
  layerJson,
  readBuildFlags,
} from "./build_flags.ts";
import {
  type Command,
  onlyArgument,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { GLOBAL_OPTIONS } from "./flags.ts";
import { GLOBAL_HELP, StoreSession } from "./store_session.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";

const HELP = `
Make the SOCI index of an image and push it. The image's layers are read once, as a stream, from
the registry or from this machine; the image stays as it is.

Usage: soci-deno build-index [flags] IMAGE

Without --to, a v1 index is pushed beside the image, as a referrer. With --to, a v2 index is
bound to a copy of the image's manifest under another tag; layers are shared. Each ztoc is pushed
when it is finished, so that interrupted work goes on where it was.

Flags:
  --to TAG                push a converted image (v2) under this tag of the same repository
  --from SOURCE           where to read layers: registry (default), containerd, or the path of an
                          OCI layout, an OCI archive or a docker-save archive of Docker 25 or newer
  --image NAME            which image of that layout or archive, where it holds several
  --local                 push nothing: keep the index here, for \`soci-deno push\`
  --no-companion          push no companion, which carries the ztocs compressed (with --local: say it
                          to \`push\` too)
${PIN_HELP}; with --to
${buildHelp("1MiB with a companion, else 4MiB")}
${REGISTRY_HELP}
${GLOBAL_HELP}
`;

/**
 * Where a companion carries the ztocs. Spans a quarter as large as usual save a third and more of what a start
 * fetches, and with only the used bytes of their windows all ztocs are still smaller than before.
 */
const SPAN_SIZE_BYTES = 2 ** 20;

/** What all steps need. */
interface Work {
  readonly flags: BuildFlags;
  readonly session: StoreSession;
  readonly client: RegistryClient;
  readonly reference: Reference;
  readonly source: ImageSource;
  readonly sink: ArtifactSink;
  readonly ledger: ZtocLedger | null;
  /** Whether layers come from the registry itself. */
  readonly fromRegistry: boolean;
  readonly withCompanion: boolean;
  readonly windows: WindowBytes;
}

/** The `build-index` subcommand. */
export const buildIndexCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        to: { type: "string" },
        from: { type: "string", default: "registry" },
        image: { type: "string" },
        local: { type: "boolean", default: false },
        "no-companion": { type: "boolean", default: false },
        "load-order": { type: "string", multiple: true },
        ...BUILD_OPTIONS,
        ...REGISTRY_OPTIONS,
        ...GLOBAL_OPTIONS,
      },
    });
    const name = onlyArgument(positionals, "build-index IMAGE");
    if (values.local && values.to !== undefined) {
      throw new UsageError(
        "--to pushes, --local does not (`convert` makes v2 images here)",
      );
    }
    const orders = values["load-order"] ?? [];
    if (orders.length > 0 && values.to === undefined) {
      throw new UsageError(
        "--load-order goes with --to; beside a v1 index `order push` puts it",
      );
    }
    if (values["all-platforms"] && values.platform !== undefined) {
      throw new UsageError("--platform and --all-platforms exclude each other");
    }
    // `push` makes the companion of an index that is kept here.
    const withCompanion = !values["no-companion"] && !values.local;
    const flags = readBuildFlags(
      values,
      values["no-companion"] ? {} : { spanSizeBytes: SPAN_SIZE_BYTES },
    );
    const reference = parseReference(name);
    if (values.to !== undefined) reference.withTag(values.to); // checks the tag
    await using session = await StoreSession.open(values);
    const { signal } = session;
    using client = registryClient(values, reference.host);
    const remote = new RegistryPlace(client, reference);
    const source = values.from === "registry"
      ? remote
      : values.from === "containerd"
      ? await session.image(name)
      : await openLocalImage(values.from, { name: values.image });
    const store = values.local ? await session.store() : null;
    const database = store?.database ?? session.notes();
    const work: Work = {
      flags,
      session,
      client,
      reference,
      source,
      sink: store?.content ?? remote,
      ledger: database === null ? null : databaseLedger(database),
      fromRegistry: values.from === "registry",
      withCompanion,
      windows: values["no-companion"] ? "all" : "used",
    };
    using report = new BuildReport({
      lines: values.json ? "none" : "each",
      minLayerSizeBytes: flags.build.minLayerSizeBytes,
    });
    const family = await readFamily(source, signal);
    const chosen = await family.choose(
      { ...flags.choice, all: flags.choice.all || !family.isIndex },
      signal,
    );
    const built: BuiltImage[] = [];
    const indexes: { index: string | null; companion: string | null }[] = [];
    for (const descriptor of chosen) {
      const image = await family.image(descriptor, signal);
      if (!work.fromRegistry && !values.local && values.to === undefined) {
        await checkSubject(remote, image, signal);
      }
      const one = await build(work, image, report);
      report.missing(one.missingFiles);
      built.push(one);
      if (one.ztocs.length === 0 || values.to !== undefined) {
        indexes.push({ index: null, companion: null });
        continue;
      }
      const made = store === null
        ? await putIndexV1(remote, one, signal)
        : await keepIndexV1(store, family.descriptor, one, { name, signal });
      const { companion } = made;
      indexes.push({ index: made.descriptor.digest, companion });
      if (companion !== null) report.line(`pushed companion ${companion}`);
      if (store !== null) {
        await session.holdIndex(descriptor.digest, made.descriptor.digest);
      }
      report.line(
        `${
          store === null ? "pushed" : "created"
        } index ${made.descriptor.digest}`,
      );
    }
    const empty = built.every(({ ztocs }) => ztocs.length === 0);
    const converted = empty || values.to === undefined
      ? null
      : await convert(work, remote, family, built, {
        tag: values.to,
        orders,
      });
    for (const { descriptor, companion } of converted?.indexes ?? []) {
      if (companion !== null) {
        report.line(`pushed companion ${companion.descriptor.digest}`);
      }
      report.line(`pushed index ${descriptor.digest}`);
    }
    if (converted !== null) {
      report.line(
        `pushed ${reference.host}/${reference.repository}:${values.to} ${converted.image.digest}`,
      );
    }
    if (values.json) {
      report.json(
        {
          image: reference.toString(),
          images: built.map((one, i) => describe(one, indexes[i]!)),
          converted: converted === null ? null : {
            image: converted.image,
            indexes: converted.indexes.map(({ descriptor }) =>
              descriptor.digest
            ),
          },
        },
      );
    }
    if (empty) throw new Error(EMPTY_INDEX);
    return 0;
  },
};

function describe(
  built: BuiltImage,
  pushed: { readonly index: string | null; readonly companion: string | null },
) {
  const { platform, descriptor } = built.image;
  return {
    platform: platform === null ? null : formatPlatform(platform),
    manifest: descriptor.digest,
    ...pushed,
    layers: built.layers.map(layerJson),
    prefetch: built.prefetch.map(({ digest }) => digest),
  };
}

/** Checks that the image exists: the index of a missing image would never be found. */
async function checkSubject(
  remote: RegistryPlace,
  { descriptor }: Image,
  signal: AbortSignal,
): Promise<void> {
  if (await remote.has(descriptor, { signal })) return;
  throw new ContentError(
    "not-found",
    remote.place,
    descriptor.digest,
    "the image is not there as it is here, so an index beside it would never be found; push " +
      "the image first, or keep the index here with --local",
  );
}

async function build(
  work: Work,
  image: Image,
  report: BuildReport,
): Promise<BuiltImage> {
  const { flags, session, client, reference, source, sink, ledger } = work;
  const { fromRegistry, withCompanion, windows } = work;
  const { signal } = session;
  const known = fromRegistry && !flags.build.force
    ? await existingIndexLedger(client, reference, image, {
      content: source,
      signal,
    })
    : null;
  return await buildZtocs(image, {
    ...flags.build,
    source,
    sink,
    withCompanion,
    windows,
    ledgers: [
      ...(known === null ? [] : [known]),
      ...(ledger === null ? [] : [ledger]),
    ],
    signal,
    ...report.callbacks,
  });
}

async function convert(
  { source, session, fromRegistry }: Work,
  remote: RegistryPlace,
  family: ImageFamily,
  built: readonly BuiltImage[],
  { tag, orders }: { readonly tag: string; readonly orders: readonly string[] },
): Promise<Converted> {
  const { signal } = session;
  return await convertImage({
    source,
    sink: remote,
    family,
    built,
    name: tag,
    content: fromRegistry ? "share" : "copy",
    orders: await pinOrders(orders, built, {
      source: firstOf(source, [remote, source]),
      sink: remote,
      signal,
    }),
    signal,
  });
}
