/**
 * `soci-deno push`: puts indexes that were made here beside their image in its registry.
 * @module
 */
import { firstOf, RegistryPlace } from "../lib/remote/content/mod.ts";
import { readFamily } from "../lib/remote/image/mod.ts";
import {
  type ExistingIndex,
  isConverted,
  type PushedIndex,
  type PushIndexOptions,
  pushNewestIndex,
  pushTree,
} from "../lib/indexes/indexing/mod.ts";
import {
  type Descriptor,
  formatPlatform,
  hostPlatform,
} from "../lib/formats/oci/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import { platformChoice } from "./platform_flags.ts";
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

/** Under which name the command runs: the existing tool's pushes what it was given, byte for byte. */
type Persona = "soci-deno" | "soci";

const help = (persona: Persona) => `
Push the newest index (v1) of an image, made by \`soci create\` or \`build-index --local\`, beside
the image in its registry. A converted image (v2) is pushed as a whole.

Usage: soci-deno push [flags] IMAGE

Flags:
  -p, --platform OS/ARCH  this platform (may be repeated; default: this machine's, or the
                          only one there is)
  --all-platforms         every platform that has an index
  --existing-index MODE   where the registry lists an index already: warn (default) and push,
                          skip, or allow (push without a word)
  --max-concurrent-uploads N
                          uploads side by side (default 3)${
  persona === "soci" ? "" : `
  --no-companion          push no companion, which carries the index's ztocs compressed`
}
  -q, --quiet             print the digests of what was pushed alone
  --json                  the result as JSON
${REGISTRY_HELP}
${GLOBAL_HELP}
`;

const EXISTING: readonly ExistingIndex[] = ["warn", "skip", "allow"];

/** What became of one index or image. */
interface Pushed extends PushedIndex {
  readonly kind: "index" | "image";
}

/** The `push` subcommand. */
export const pushCommand = commandOf("soci-deno");

/** The same under the existing tool's name. */
export const sociPushCommand = commandOf("soci");

function commandOf(persona: Persona): Command {
  return {
    help: help(persona),
    run: (args) => push(persona, args),
  };
}

const OPTIONS = {
  platform: { type: "string", short: "p", multiple: true },
  "all-platforms": { type: "boolean", default: false },
  "existing-index": { type: "string", default: "warn" },
  "max-concurrent-uploads": { type: "string", default: "3" },
  quiet: { type: "boolean", short: "q", default: false },
  json: { type: "boolean", default: false },
  // Accepted as in the existing tool, but without effect.
  snapshotter: { type: "string" },
  label: { type: "string", multiple: true },
  "http-dump": { type: "boolean" },
  "http-trace": { type: "boolean" },
  ...REGISTRY_OPTIONS,
  ...GLOBAL_OPTIONS,
} as const;
const OWN_OPTIONS = {
  "no-companion": { type: "boolean", default: false },
} as const;

async function push(
  persona: Persona,
  args: readonly string[],
): Promise<number> {
  const { values, positionals } = parseCommandLine({
    args: [...args],
    allowPositionals: true,
    options: { ...OPTIONS, ...(persona === "soci" ? {} : OWN_OPTIONS) },
  });
  const hasCompanion = persona === "soci-deno" &&
    values["no-companion"] !== true;
  const name = onlyArgument(positionals, "push IMAGE");
  const existing = EXISTING.find((mode) => mode === values["existing-index"]);
  if (existing === undefined) {
    throw new UsageError(
      `unexpected value for flag existing-index: ${
        values["existing-index"]
      }, expected types [${EXISTING.join(" ")}]`,
    );
  }
  const concurrency = Number(values["max-concurrent-uploads"]);
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new UsageError("--max-concurrent-uploads must be 1 or more");
  }
  const choice = platformChoice(values);
  const debug = values.debug || values["http-dump"] || values["http-trace"];
  await using session = await StoreSession.open({ ...values, debug });
  const { signal } = session;
  const reference = parseReference(name);
  using client = registryClient(values, reference.host);
  const image = await session.image(name);
  const store = await session.store();
  const quiet = values.quiet || values.json;
  const say = quiet ? () => {} : (line: string) => console.log(line);
  const options = {
    store,
    client,
    reference,
    existing,
    concurrency,
    signal,
    source: firstOf(image, [store.content, image]),
    sink: new RegistryPlace(client, reference),
    companion: hasCompanion ? "pushed" as const : "none" as const,
    ...tell(say, quiet ? console.error : say, existing),
  };
  const family = await readFamily(image, signal);
  const results: Pushed[] = [];
  if (isConverted(store, family.descriptor.digest)) {
    const { digest } = family.descriptor;
    say(`pushing image with digest: ${digest}`);
    await pushTree(family.descriptor, options);
    await options.sink.tag(family.descriptor, reference.tag, { signal });
    const outcome = "pushed";
    results.push({
      ...{ kind: "image", digest, manifest: digest, outcome },
      companion: null,
    });
  } else {
    const chosen = await family.choose(choice, signal);
    for (const manifest of chosen) {
      const pushed = await pushNewestIndex(manifest, options);
      if (pushed !== null) {
        results.push({ kind: "index", ...pushed });
        if (pushed.companion !== null) {
          say(`pushed companion ${pushed.companion}`);
        }
      } else if (!choice.all) throw noIndex(manifest);
    }
    if (results.length === 0) {
      throw new Error(
        `could not find any soci index to push for image ${name}`,
      );
    }
  }
  if (values.json) {
    console.log(JSON.stringify({ image: name, pushed: results }, null, 2));
  } else if (values.quiet) {
    for (const { digest, outcome } of results) {
      if (outcome === "pushed") console.log(digest);
    }
  }
  return 0;
}

function noIndex({ platform }: Descriptor): Error {
  return new Error(
    `could not find any soci index manifest v1 to push for platform ${
      formatPlatform(platform ?? hostPlatform())
    }`,
  );
}

/**
 * Prints in the existing tool's words. @param warn prints messages that are shown even in quiet mode.
 */
function tell(
  say: (line: string) => void,
  warn: (line: string) => void,
  existing: ExistingIndex,
): Pick<
  PushIndexOptions,
  "onArtifact" | "onCheck" | "onExisting" | "onIndex"
> {
  return {
    onCheck: () =>
      say(
        "checking if a soci index already exists in remote repository...",
      ),
    onExisting: (index, manifest) => {
      const found =
        `soci index found in remote repository with digest: ${index}`;
      if (existing === "warn") warn(`[WARN] ${found}: pushing index anyway`);
      else {
        say(
          `${found}: skipping pushing artifacts for image manifest: ${manifest}`,
        );
      }
    },
    onIndex: (index) => say(`pushing soci index with digest: ${index}`),
    onArtifact: (digest, what) =>
      say(
        what === "pushing"
          ? `pushing artifact with digest: ${digest}`
          : what === "pushed"
          ? `successfully pushed artifact with digest: ${digest}`
          : `skipped artifact with digest: ${digest}`,
      ),
  };
}
