/**
 * `soci-deno push`: puts indexes that were made here beside their image in its registry.
 * @module
 */
import type { ArtifactStore } from "../lib/artifacts/mod.ts";
import {
  firstOf,
  type ImageSource,
  RegistryPlace,
} from "../lib/content/mod.ts";
import { choosePlatforms, pushTree, readFamily } from "../lib/indexing/mod.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  hostPlatform,
} from "../lib/oci/mod.ts";
import {
  parseReference,
  type Reference,
  type RegistryClient,
} from "../lib/registry/mod.ts";
import { SOCI_MEDIA } from "../lib/soci/mod.ts";
import { platformChoice } from "./build_flags.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";
import { GLOBAL_OPTIONS } from "./flags.ts";
import { GLOBAL_HELP, Session } from "./globals.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";

const HELP = `
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
                          uploads side by side (default 3)
  -q, --quiet             print the digests of what was pushed alone
  --json                  the result as JSON
${REGISTRY_HELP}
${GLOBAL_HELP}
`;

type Existing = "warn" | "skip" | "allow";
const EXISTING: readonly Existing[] = ["warn", "skip", "allow"];

/** What one push needs to know. */
interface Push {
  readonly client: RegistryClient;
  readonly reference: Reference;
  readonly remote: RegistryPlace;
  readonly local: ImageSource;
  readonly store: ArtifactStore;
  readonly existing: Existing;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  /** Takes lines for people. */
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
}

/** What became of one index or image. */
interface Pushed {
  readonly digest: Digest;
  readonly kind: "index" | "image";
  readonly manifest: Digest;
  readonly outcome: "pushed" | "skipped";
}

/** The `push` subcommand. */
export const pushCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        platform: { type: "string", short: "p", multiple: true },
        "all-platforms": { type: "boolean", default: false },
        "existing-index": { type: "string", default: "warn" },
        "max-concurrent-uploads": { type: "string", default: "3" },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        // Taken, as the existing tool takes them, and of no effect.
        snapshotter: { type: "string" },
        label: { type: "string", multiple: true },
        "http-dump": { type: "boolean" },
        "http-trace": { type: "boolean" },
        ...REGISTRY_OPTIONS,
        ...GLOBAL_OPTIONS,
      },
    });
    const [name, ...extra] = positionals;
    if (name === undefined || extra.length > 0) {
      throw new UsageError("say `push IMAGE`");
    }
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
    await using session = await Session.open({ ...values, debug });
    const { signal } = session;
    using client = registryClient(values);
    const reference = parseReference(name);
    const image = await session.image(name);
    const store = await session.store();
    const push: Push = {
      client,
      reference,
      remote: new RegistryPlace(client, reference),
      local: firstOf(image, [store.content, image]),
      store,
      existing,
      concurrency,
      signal,
      say: values.quiet || values.json ? () => {} : console.log,
      // On standard output as the existing tool has it, but where that is for digests alone.
      warn: values.quiet || values.json ? console.error : console.log,
    };
    const family = await readFamily(image, signal);
    const results: Pushed[] = [];
    if (isConverted(store, family.descriptor.digest)) {
      results.push(await pushImage(push, family.descriptor));
    } else {
      const chosen = await choosePlatforms(image, family, choice, signal);
      for (const manifest of chosen) {
        const pushed = await pushIndex(push, manifest, choice.all === true);
        if (pushed !== null) results.push(pushed);
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
  },
};

/** Whether the local store knows the image as one that was converted here or elsewhere. */
function isConverted({ database }: ArtifactStore, image: Digest): boolean {
  return database.list("index").some(({ imageDigest, artifactType }) =>
    imageDigest === image && artifactType === SOCI_MEDIA.indexV2
  );
}

async function pushImage(push: Push, image: Descriptor): Promise<Pushed> {
  push.say(`pushing image with digest: ${image.digest}`);
  await pushTree(image, treeOptions(push));
  const { tag } = push.reference;
  if (tag !== null) await push.remote.tag(image, tag, push);
  return {
    digest: image.digest,
    kind: "image",
    manifest: image.digest,
    outcome: "pushed",
  };
}

function treeOptions(
  { local, remote, concurrency, signal, say }: Push,
): Parameters<typeof pushTree>[1] {
  return {
    source: local,
    sink: remote,
    concurrency,
    signal,
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

/** @returns null where there is none and that is no fault. */
async function pushIndex(
  push: Push,
  manifest: Descriptor,
  mayLack: boolean,
): Promise<Pushed | null> {
  const { client, reference, store, existing, signal, say, warn } = push;
  const record = store.database.list("index").find((one) =>
    one.originalDigest === manifest.digest &&
    one.artifactType === SOCI_MEDIA.indexV1
  );
  if (record === undefined) {
    if (mayLack) return null;
    throw new Error(
      `could not find any soci index manifest v1 to push for platform ${
        formatPlatform(manifest.platform ?? hostPlatform())
      }`,
    );
  }
  const { digest } = record;
  const result = { digest, kind: "index", manifest: manifest.digest } as const;
  if (existing !== "allow") {
    say("checking if a soci index already exists in remote repository...");
    const [there] = await client.referrers(
      reference,
      manifest.digest,
      SOCI_MEDIA.indexV1,
      { signal },
    );
    const found =
      `soci index found in remote repository with digest: ${there?.digest}`;
    if (there !== undefined && existing === "skip") {
      say(
        `${found}: skipping pushing artifacts for image manifest: ${manifest.digest}`,
      );
      return { ...result, outcome: "skipped" };
    }
    if (there !== undefined) warn(`[WARN] ${found}: pushing index anyway`);
  }
  say(`pushing soci index with digest: ${digest}`);
  await pushTree(
    { mediaType: record.mediaType, digest, size: record.sizeBytes },
    treeOptions(push),
  );
  return { ...result, outcome: "pushed" };
}
