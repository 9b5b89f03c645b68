/** The flags of the commands that make ztocs, and how these report what they do. @module */
import { DEFAULT_SPAN_SIZE_BYTES } from "../lib/formats/ztoc/mod.ts";
import type { BuildOptions, BuiltLayer } from "../lib/indexes/indexing/mod.ts";
import type { PlatformChoice } from "../lib/remote/image/mod.ts";
import { layerCompression } from "../lib/formats/oci/mod.ts";
import { parseSizeBytes, UsageError } from "./command.ts";
import { platformChoice } from "./platform_flags.ts";
import { Progress, type ProgressTask } from "./progress.ts";

/** For `parseCommandLine`. */
export const BUILD_OPTIONS = {
  platform: { type: "string", short: "p", multiple: true },
  "all-platforms": { type: "boolean", default: false },
  "span-size": { type: "string" },
  "min-layer-size": { type: "string", default: "10485760" },
  optimizations: { type: "string", multiple: true },
  force: { type: "boolean", short: "f", default: false },
  "prefetch-file": { type: "string", multiple: true },
  "prefetch-files-json": { type: "string" },
  json: { type: "boolean", default: false },
} as const;

/** Lines of `--help`. @param spanSize what its default is said to be */
export const buildHelp = (spanSize = "4MiB"): string =>
  `  -p, --platform OS/ARCH  this platform (may be repeated; default: this machine's, or the
                          only one there is)
  --all-platforms         every platform of the image
  --span-size SIZE        least uncompressed bytes of a span (default ${spanSize})
  --min-layer-size SIZE   leave smaller layers out (default 10MiB; 0: none)
  --optimizations xattr   say of layers without extended attributes that they have none, so that
                          the kernel does not ask (programs that copy them may mind)
  --prefetch-file PATH    a file to fetch before it is asked for (may be repeated)
  --prefetch-files-json FILE
                          a file with a JSON array of such paths
  -f, --force             make ztocs again even where they are known
  --json                  the result as JSON`;

/** The values of {@link BUILD_OPTIONS}. */
interface BuildValues {
  readonly platform?: string[] | undefined;
  readonly "all-platforms": boolean;
  readonly "span-size"?: string | undefined;
  readonly "min-layer-size": string;
  readonly optimizations?: string[] | undefined;
  readonly force: boolean;
  readonly "prefetch-file"?: string[] | undefined;
  readonly "prefetch-files-json"?: string | undefined;
  readonly json: boolean;
}

/** What the flags say. */
export interface BuildFlags {
  readonly choice: PlatformChoice;
  readonly build: Pick<
    BuildOptions,
    | "spanSizeBytes"
    | "minLayerSizeBytes"
    | "force"
    | "optimizeXattrs"
    | "prefetchFiles"
    | "concurrency"
    | "withCompanion"
  >;
}

/** The most files of a prefetch list; more would be the whole image. */
const MAX_SPAN_SIZE_BYTES = 32 * 2 ** 20;
const MAX_PREFETCH_FILES = 100_000;

/**
 * Reads the flags.
 * @param spanSizeBytes without `--span-size`; default: as the existing tools have it.
 * @throws UsageError
 */
export function readBuildFlags(
  values: BuildValues,
  options: { readonly spanSizeBytes?: number } = {},
): BuildFlags {
  const minLayerSizeBytes = parseSizeBytes(
    "--min-layer-size",
    values["min-layer-size"],
  );
  const said = values["span-size"];
  const spanSizeBytes = said === undefined
    ? options.spanSizeBytes ?? DEFAULT_SPAN_SIZE_BYTES
    : parseSizeBytes("--span-size", said);
  if (spanSizeBytes < 1) throw new UsageError("--span-size must be above 0");
  if (spanSizeBytes > MAX_SPAN_SIZE_BYTES) {
    // A span ends with a block of the stream, so it is a little larger; readers refuse huge ones.
    throw new UsageError("--span-size must not be over 32MiB");
  }
  const optimizations =
    values.optimizations?.flatMap((text) => text.split(",")) ?? [];
  const unknown = optimizations.find((name) => name !== "xattr");
  if (unknown !== undefined) {
    throw new UsageError(`--optimizations: "${unknown}" is not xattr`);
  }
  return {
    choice: platformChoice(values),
    build: {
      spanSizeBytes,
      minLayerSizeBytes,
      force: values.force,
      optimizeXattrs: optimizations.length > 0,
      prefetchFiles: [
        ...values["prefetch-file"] ?? [],
        ...readPathList(values["prefetch-files-json"]),
      ],
      concurrency: Math.max(2, navigator.hardwareConcurrency),
    },
  };
}

function readPathList(file: string | undefined): string[] {
  if (file === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(Deno.readTextFileSync(file));
  } catch (cause) {
    throw new UsageError(
      `--prefetch-files-json ${file}: ${
        cause instanceof SyntaxError ? "no JSON" : "cannot be read"
      }`,
      { cause },
    );
  }
  if (
    !Array.isArray(value) || value.length > MAX_PREFETCH_FILES ||
    !value.every((path) => typeof path === "string")
  ) {
    throw new UsageError(
      `--prefetch-files-json ${file}: no array of paths`,
    );
  }
  return value;
}

/** Reports a build: progress on a terminal, a line per layer, warnings. */
export class BuildReport implements Disposable {
  readonly #progress = new Progress();
  readonly #tasks = new Map<string, ProgressTask>();

  /** @param options `lines: "none"` where the result is printed as JSON. */
  constructor(
    private readonly options: {
      readonly lines: "each" | "none";
      readonly minLayerSizeBytes: number;
      /**
       * Which tool's wording to use for a layer of a format that cannot be indexed. Default: our own.
       */
      readonly words?: "ours" | "soci";
    },
  ) {}

  /** For `buildZtocs`. */
  get callbacks(): Pick<
    BuildOptions,
    "onLayerStart" | "onProgress" | "onLayer" | "onPrefetch"
  > {
    return {
      onLayerStart: ({ digest, size }) =>
        this.#tasks.set(digest, this.#progress.task(digest.slice(7, 19), size)),
      onProgress: ({ digest }, bytes) =>
        this.#tasks.get(digest)?.advance(bytes),
      onLayer: (layer) => {
        this.#tasks.get(layer.layer.digest)?.finish();
        this.line(describeLayer(layer, this.options));
      },
      onPrefetch: ({ digest }, artifact) =>
        this.line(
          `Created prefetch artifact for layer ${digest}: ${artifact}`,
        ),
    };
  }

  /** A line of the result. */
  line(text: string): void {
    if (this.options.lines === "each") this.#progress.print(text);
  }

  /** The whole result as JSON. */
  json(value: unknown): void {
    this.#progress.print(JSON.stringify(value, null, 2));
  }

  /** Warns of files that no layer has; they change nothing. */
  missing(paths: readonly string[]): void {
    for (const path of paths) {
      this.#progress.print(
        `warning: prefetch file ${path} not found in any layer`,
        "stderr",
      );
    }
  }

  [Symbol.dispose](): void {
    this.#progress[Symbol.dispose]();
  }
}

/** The line of a layer, as the existing tools word it. */
function describeLayer(
  { layer, outcome }: BuiltLayer,
  { minLayerSizeBytes, words }: {
    readonly minLayerSizeBytes: number;
    readonly words?: "ours" | "soci";
  },
): string {
  const skipped = `ztoc skipped - layer ${layer.digest} (${layer.mediaType})`;
  switch (outcome.kind) {
    case "built":
      return `layer ${layer.digest} -> ztoc ${outcome.ztoc}`;
    case "reused":
      return `layer ${layer.digest} -> ztoc ${outcome.ztoc} (already exists)`;
    case "too-small":
      return `${skipped} size ${layer.size} is less than min-layer-size ${minLayerSizeBytes}`;
    case "unsupported": {
      if (words !== "soci") return `${skipped} ${outcome.reason}`;
      const got = layerCompression(layer.mediaType);
      return `${skipped} is compressed in an unsupported format. ` +
        `expect: [tar, gzip, unknown] but got "${got === "none" ? "" : got}"`;
    }
    case "failed":
      return `${skipped} ${outcome.reason}`;
  }
}

/** A layer in JSON. */
export function layerJson({ layer, outcome }: BuiltLayer) {
  return {
    digest: layer.digest,
    mediaType: layer.mediaType,
    sizeBytes: layer.size,
    ...outcome,
  };
}

/** Nothing was indexed. */
export const EMPTY_INDEX =
  "no ztocs created, all layers either skipped or produced errors";
