/**
 * `soci-deno convert`: binds an image to its SOCI indexes (v2).
 * @module
 */
import type { ArtifactDatabase } from "../lib/indexes/artifacts/mod.ts";
import {
  ArchiveWriter,
  type ArtifactSink,
  firstOf,
  type ImageSource,
  type LayerSource,
  LayoutFolder,
  openLocalImage,
} from "../lib/remote/content/mod.ts";
import {
  buildZtocs,
  type BuiltImage,
  type Converted,
  convertImage,
  databaseLedger,
  keepConversion,
} from "../lib/indexes/indexing/mod.ts";
import { type ImageFamily, readFamily } from "../lib/remote/image/mod.ts";
import { formatPlatform } from "../lib/formats/oci/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import {
  BUILD_OPTIONS,
  type BuildFlags,
  buildHelp,
  BuildReport,
  EMPTY_INDEX,
  layerJson,
  readBuildFlags,
} from "./build_flags.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";
import { PIN_HELP, pinOrders } from "./order/pin.ts";
import { GLOBAL_OPTIONS } from "./flags.ts";
import { draftSuffix } from "./given.ts";
import { GLOBAL_HELP, StoreSession } from "./store_session.ts";

const HELP = `
Make a SOCI-enabled copy of an image (v2): the same layers under a new image index, which names
the SOCI indexes. Whoever pins the copy's digest pins its indexes too.

Usage:
  soci-deno convert [flags] IMAGE NEW-IMAGE          in containerd's store; push the copy with
                                                     \`soci-deno push\`, nerdctl or ctr
  soci-deno convert --standalone [flags] INPUT OUTPUT
                                                     without containerd: INPUT is an OCI layout,
                                                     or an archive of one; so is OUTPUT
(From registry to registry: \`soci-deno build-index --to TAG IMAGE\`.)

Flags:
  --standalone            INPUT and OUTPUT are files
  --format FORMAT         of OUTPUT: oci-archive (default) or oci-dir
  --image NAME            which image of INPUT, where it holds several
  --companion             bind companions too, which carry the ztocs compressed
${PIN_HELP}
${buildHelp()}
${GLOBAL_HELP}
`;

interface Work {
  readonly source: ImageSource;
  readonly sink: ArtifactSink;
  readonly database: ArtifactDatabase | null;
  readonly flags: BuildFlags;
  readonly signal: AbortSignal;
}

/** The `convert` subcommand. */
export const convertCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        standalone: { type: "boolean", default: false },
        format: { type: "string" },
        image: { type: "string" },
        companion: { type: "boolean", default: false },
        "load-order": { type: "string", multiple: true },
        ...BUILD_OPTIONS,
        ...GLOBAL_OPTIONS,
      },
    });
    const [from, to, ...extra] = positionals;
    if (from === undefined) {
      throw new UsageError("source image needs to be specified");
    }
    if (to === undefined || extra.length > 0) {
      throw new UsageError("say `convert IMAGE NEW-IMAGE`");
    }
    const format = values.format ?? "oci-archive";
    if (format !== "oci-archive" && format !== "oci-dir") {
      throw new UsageError(
        `unsupported output format "${format}": must be "oci-archive" or "oci-dir"`,
      );
    }
    if (!values.standalone) {
      if (values.format !== undefined || values.image !== undefined) {
        throw new UsageError("--format and --image go with --standalone");
      }
      checkNewName(to);
    }
    const orders = values["load-order"] ?? [];
    const read = readBuildFlags(values);
    const flags = {
      ...read,
      build: { ...read.build, withCompanion: values.companion },
    };
    await using session = await StoreSession.open(values);
    using report = new BuildReport({
      lines: values.json ? "none" : "each",
      minLayerSizeBytes: flags.build.minLayerSizeBytes,
      words: "soci",
    });
    const { family, built, converted } = values.standalone
      ? await standalone(session, report, flags, {
        from,
        to,
        format,
        image: values.image,
        orders,
      })
      : await inContainerd(session, report, flags, { from, to, orders });
    if (values.json) {
      report.json(
        {
          source: family.descriptor.digest,
          converted: converted.image.digest,
          images: built.map((one) => describe(one, converted)),
        },
      );
    }
    return 0;
  },
};

function checkNewName(name: string): void {
  const reference = parseReference(name);
  if (reference.digest === null && name.endsWith(`:${reference.tag}`)) return;
  throw new UsageError(
    'the destination image must be a tagged ref of the form "registry/repository:tag"' +
      (reference.digest === null
        ? ""
        : ": reference must not contain a digest"),
  );
}

function describe(built: BuiltImage, converted: Converted) {
  const { platform, descriptor } = built.image;
  const bound = converted.indexes.find((one) => one.built === built);
  return {
    platform: platform === null ? null : formatPlatform(platform),
    manifest: descriptor.digest,
    convertedManifest: bound?.manifest ?? null,
    index: bound?.descriptor.digest ?? null,
    layers: built.layers.map(layerJson),
    prefetch: built.prefetch.map(({ digest }) => digest),
  };
}

async function build(
  { source, sink, database, flags, signal }: Work,
  report: BuildReport,
): Promise<{ family: ImageFamily; built: BuiltImage[] }> {
  const family = await readFamily(source, signal);
  const chosen = await family.choose(flags.choice, signal);
  const built: BuiltImage[] = [];
  for (const descriptor of chosen) {
    const image = await family.image(descriptor, signal);
    const one = await buildZtocs(image, {
      ...flags.build,
      source,
      sink,
      ledgers: database === null ? [] : [databaseLedger(database)],
      signal,
      ...report.callbacks,
    });
    report.missing(one.missingFiles);
    built.push(one);
  }
  if (built.every(({ ztocs }) => ztocs.length === 0)) {
    throw new Error(EMPTY_INDEX);
  }
  return { family, built };
}

async function inContainerd(
  session: StoreSession,
  report: BuildReport,
  flags: BuildFlags,
  { from, to, orders }: {
    readonly from: string;
    readonly to: string;
    readonly orders: readonly string[];
  },
) {
  const { signal } = session;
  const source = await session.image(from);
  const store = await session.store();
  const { family, built } = await build({
    source,
    sink: store.content,
    database: store.database,
    flags,
    signal,
  }, report);
  const sink = await session.imageSink(store);
  const pinned = await pinOrders(orders, built, {
    source: firstOf(source, [store.content, source]),
    sink,
    signal,
  });
  const converted = await keepConversion(store, {
    source,
    sink,
    family,
    built,
    name: to,
    orders: pinned,
    signal,
  });
  return { family, built, converted };
}

async function standalone(
  session: StoreSession,
  report: BuildReport,
  flags: BuildFlags,
  { from, to, format, image, orders }: {
    readonly from: string;
    readonly to: string;
    readonly format: "oci-archive" | "oci-dir";
    readonly image: string | undefined;
    readonly orders: readonly string[];
  },
) {
  const { signal } = session;
  const source = await openLocalImage(from, { name: image });
  await using output: Output = format === "oci-dir"
    ? await folderOutput(to)
    : archiveOutput(to);
  const { family, built } = await build(
    { source, sink: output.sink, database: null, flags, signal },
    report,
  );
  const pinned = await pinOrders(orders, built, {
    source: firstOf(source, [output.sink, source]),
    sink: output.sink,
    signal,
  });
  const converted = await convertImage({
    source,
    sink: output.sink,
    family,
    built,
    name: null,
    content: "copy",
    orders: pinned,
    signal,
  });
  await output.finish(signal);
  return { family, built, converted };
}

/** Where a standalone conversion goes; nothing is visible there before it is finished. */
interface Output extends AsyncDisposable {
  /** What was put can be read, as far as it was put as bytes. */
  readonly sink: ArtifactSink & LayerSource;
  finish(signal: AbortSignal): Promise<void>;
}

function archiveOutput(path: string): Output {
  const archive = new ArchiveWriter(path, `${path}${draftSuffix()}`);
  return {
    sink: archive,
    finish: (signal) => archive.finish({ signal }),
    [Symbol.asyncDispose]: () => archive[Symbol.asyncDispose](),
  };
}

/** Replaces an existing OCI layout, but no other folder. */
async function folderOutput(path: string): Promise<Output> {
  const folder = path.replace(/(?<=.)\/+$/, "");
  const there = await Array.fromAsync(Deno.readDir(folder)).catch(
    (error) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    },
  );
  if (
    there !== null && there.length > 0 &&
    !there.some(({ name }) => name === "oci-layout")
  ) {
    throw new Error(`${folder} is there already and is no OCI layout`);
  }
  const aside = `${folder}${draftSuffix()}`;
  const old = `${aside}.old`;
  const layout = await LayoutFolder.create(aside);
  return {
    sink: layout,
    async finish() {
      await layout.tidy();
      if (there !== null) await Deno.rename(folder, old);
      await Deno.rename(aside, folder);
      if (there !== null) await Deno.remove(old, { recursive: true });
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(aside, { recursive: true }).catch(() => {}); // it was renamed
    },
  };
}
