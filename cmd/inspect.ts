/**
 * `soci-deno inspect`: which index an image in a registry has, and what it saves.
 * @module
 */
import { RegistryPlace } from "../lib/remote/content/mod.ts";
import type { Decided } from "../lib/images/policy/mod.ts";
import { discoverIndex, readFamily } from "../lib/remote/image/mod.ts";
import type {
  InspectedImage,
  InspectedLayer,
} from "../lib/indexes/indexing/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import { platformChoice } from "./platform_flags.ts";
import {
  type Command,
  formatBytes,
  onlyArgument,
  parseCommandLine,
} from "./command.ts";
import { GLOBAL_OPTIONS } from "./flags.ts";
import { Session } from "./session.ts";
import { policyText } from "./policy_text.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";

const HELP = `
Tell which SOCI index an image in a registry has, which layers it covers and why it does not
cover the others, and what a lazy start saves. Reads manifests and ztocs, no layers.

Usage: soci-deno inspect [flags] IMAGE

Flags:
  -p, --platform OS/ARCH  this platform (may be repeated; default: this machine's, or the
                          only one there is)
  --all-platforms         every platform of the image
  --config FILE           tell how a daemon with this configuration takes the image
  --json                  the result as JSON
  --timeout DURATION      give up after this time, such as 30s or 5m (default: never)
  --debug                 tell each request on stderr
${REGISTRY_HELP}
`;

/** The \`inspect\` subcommand. */
export const inspectCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        platform: { type: "string", short: "p", multiple: true },
        "all-platforms": { type: "boolean", default: false },
        config: { type: "string" },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
        ...GLOBAL_OPTIONS,
      },
    });
    const name = onlyArgument(positionals, "inspect IMAGE");
    const choice = platformChoice(values);
    const reference = parseReference(name);
    await using session = await Session.open(values);
    const { signal } = session;
    using client = registryClient(values, reference.host);
    const source = new RegistryPlace(client, reference);
    const family = await readFamily(source, signal);
    const chosen = await family.choose(choice, signal);
    const images: (InspectedImage & { readonly policy?: Decided | null })[] =
      [];
    for (const descriptor of chosen) {
      const image = await family.image(descriptor, signal);
      const found = await discoverIndex(
        client,
        reference,
        { digest: descriptor.digest, bytes: image.bytes },
        { v1: true, v2: true, withCompanion: true, signal },
      );
      // Loaded while nothing waits for it but this: the first answer does not.
      const { inspectImage } = await import("../lib/indexes/indexing/mod.ts");
      const inspected = await inspectImage(image, found, source, signal);
      if (values.config === undefined) {
        images.push(inspected);
        continue;
      }
      const { inspectedPolicy } = await import("./inspect_policy.ts");
      const policy = await inspectedPolicy(
        values.config,
        reference,
        image,
        inspected,
      );
      images.push({ ...inspected, policy });
    }
    console.log(
      values.json
        ? JSON.stringify({ image: reference.toString(), images }, null, 2)
        : images.map((image) =>
          describe(reference.toString(), image, image.policy ?? null)
        ).join("\n\n"),
    );
    return 0;
  },
};

/** Characters of a build tool's name that are shown: whoever pushed the index chose it. */
const MAX_TOOL = 40;

function percent(part: number, whole: number): string {
  return whole === 0 ? "0 %" : `${(100 * part / whole).toFixed(1)} %`;
}

function describe(
  name: string,
  image: InspectedImage,
  policy: Decided | null,
): string {
  const { index, companion, layers, totalBytes } = image;
  const { coveredBytes, beforeStartBytes } = image;
  const covered = layers.filter(({ ztoc }) => ztoc !== null).length;
  const lines = [
    `image     ${name}${image.platform === null ? "" : ` (${image.platform})`}`,
    `manifest  ${image.manifest}`,
    index === null
      ? "index     none (make one with build-index)"
      : `index     ${index.digest}`,
    ...(index === null ? [] : [
      `          v${index.version}, found by ${index.via}, ${
        formatBytes(index.sizeBytes)
      }, made by ${(index.buildTool ?? "?").slice(0, MAX_TOOL)}`,
    ]),
    ...(companion === null ? [] : [
      `companion ${companion.digest}`,
      `          ${companion.ztocs} ztocs in ${
        formatBytes(companion.sizeBytes)
      }`,
    ]),
    ...layers.flatMap(describeLayer),
    `covered   ${covered} of ${layers.length} layers, ${
      formatBytes(coveredBytes)
    } of ${formatBytes(totalBytes)} (${percent(coveredBytes, totalBytes)})`,
    `start     ${
      formatBytes(beforeStartBytes)
    } before a container starts, and what it reads;`,
    `          saves up to ${
      formatBytes(Math.max(0, totalBytes - beforeStartBytes))
    } (${percent(Math.max(0, totalBytes - beforeStartBytes), totalBytes)})`,
    ...(policy === null ? [] : [`policy    ${policyText(policy)}`]),
  ];
  return lines.join("\n");
}

function describeLayer(
  { digest, sizeBytes, ztoc, uncovered, prefetchSpans }: InspectedLayer,
): string[] {
  const head = `layer     ${digest} ${formatBytes(sizeBytes).padStart(9)}`;
  if (ztoc === null) return [head, `          no ztoc: ${uncovered}`];
  const first = prefetchSpans === 0 ? "" : `, ${prefetchSpans} fetched first`;
  return [
    head,
    `          ztoc ${formatBytes(ztoc.sizeBytes)}, ${ztoc.files} files, ` +
    `${ztoc.spans} spans${first}${
      ztoc.xattrsDisabled ? ", without xattrs" : ""
    }`,
  ];
}
