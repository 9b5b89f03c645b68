/** `soci-deno content fetch`. @module */
import { fetchContents } from "../../lib/images/pulling/mod.ts";
import { parseReference } from "../../lib/remote/registry/mod.ts";
import { platformFlag } from "../platform_flags.ts";
import { type Command, onlyArgument, parseCommandLine } from "../command.ts";
import { SESSION_OPTIONS, snapshotterOf } from "../flags.ts";
import { PullProgress } from "../pull_progress.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "../registry_flags.ts";
import { Session, SESSION_HELP } from "../session.ts";

const HELP = `
Bring the compressed layers of an image that is in containerd into its content store. Images that
are served lazily or taken whole have none there; \`ctr images export\`, \`nerdctl save\`, \`push\` and
\`commit\` need them.

Usage: soci-deno content fetch [flags] IMAGE

Flags:
  --snapshotter NAME      its name in containerd's configuration (default soci;
                          also CONTAINERD_SNAPSHOTTER)
  --platform OS/ARCH      which image of a multi-platform one (default: this machine's)
  -q, --quiet             print the manifest digest alone
  --json                  the result as JSON
${SESSION_HELP}
${REGISTRY_HELP}
`;

/** The `content fetch` subcommand. */
export const contentFetchCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        snapshotter: { type: "string" },
        platform: { type: "string" },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        ...SESSION_OPTIONS,
        ...REGISTRY_OPTIONS,
      },
    });
    const reference = parseReference(
      onlyArgument(positionals, "content fetch IMAGE"),
    );
    await using session = await Session.open(values);
    using client = registryClient(values, reference.host);
    const report = !values.quiet && !values.json;
    using progress = new PullProgress(
      null,
      report && Deno.stderr.isTerminal(),
    );
    const result = await fetchContents({
      client,
      containerd: session.containerd(),
      signal: session.signal,
      snapshotter: snapshotterOf(values.snapshotter),
      reference,
      platform: platformFlag(values.platform),
      onLayers: (layers) => progress.layers(layers),
      onDownload: (layer, bytes) => progress.came(layer, bytes),
    });
    const { manifest, layers } = result;
    if (values.json) progress.print(JSON.stringify(result, null, 2));
    else if (values.quiet) progress.print(manifest.digest);
    else {progress.print(
        `${reference}: ${layers.length} layers are in containerd`,
      );}
    return 0;
  },
};
