/**
 * `soci-deno pull`: a lazy pull into containerd, for hosts without another client that does it.
 * @module
 */
import { parseDigest } from "../lib/formats/oci/mod.ts";
import { type PulledLayer, pullImage } from "../lib/images/pulling/mod.ts";
import { tellExpected } from "../lib/host/control/mod.ts";
import {
  IMAGE_POLICIES,
  type ImagePolicy,
  isImagePolicy,
} from "../lib/remote/image/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import { platformFlag } from "./platform_flags.ts";
import {
  type Command,
  formatBytes,
  onlyArgument,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { SESSION_OPTIONS, snapshotterOf } from "./flags.ts";
import { PullProgress } from "./pull_progress.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";
import { workloadFlag } from "./order/common.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";
import { Session, SESSION_HELP } from "./session.ts";

const HELP = `
Pull an image into containerd lazily: its layers are offered to the snapshotter and only
downloaded when it declines. \`ctr run --snapshotter soci IMAGE ID\` then starts it.

Usage: soci-deno pull [flags] IMAGE

Flags:
  --snapshotter NAME      its name in containerd's configuration (default soci;
                          also CONTAINERD_SNAPSHOTTER)
  --platform OS/ARCH      which image of a multi-platform one (default: this machine's)
  --soci-index-digest D   use this index and no other
  --workload NAME         what it is pulled for: of its load orders, the one of this name is used
  --policy POLICY         how it is taken, where [eager] labels hears that: lazy, complete, eager, auto
  --root DIR              the daemon's root, to tell it of the image early (default
                          ${DEFAULT_ROOT}; also SOCI_SNAPSHOTTER_ROOT)
  -q, --quiet             print the manifest digest alone
  --json                  the result as JSON
${SESSION_HELP}
${REGISTRY_HELP}
`;

/** The `pull` subcommand. */
export const pullCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        snapshotter: { type: "string" },
        platform: { type: "string" },
        "soci-index-digest": { type: "string" },
        workload: { type: "string" },
        policy: { type: "string" },
        root: { type: "string" },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        ...SESSION_OPTIONS,
        ...REGISTRY_OPTIONS,
      },
    });
    const image = onlyArgument(positionals, "pull IMAGE");
    const reference = parseReference(image);
    const snapshotter = snapshotterOf(values.snapshotter);
    const control = `${daemonRoot(values.root)}/control.sock`;
    const started = performance.now();
    await using session = await Session.open(values);
    using client = registryClient(values, reference.host);
    const report = !values.quiet && !values.json;
    using progress = new PullProgress(
      control,
      report && Deno.stderr.isTerminal(),
    );
    const result = await pullImage({
      client,
      containerd: session.containerd(),
      signal: session.signal,
      snapshotter,
      reference,
      platform: platformFlag(values.platform),
      workload: workloadFlag(values.workload),
      policy: policyFlag(values.policy),
      ...(values["soci-index-digest"] === undefined
        ? {
          onManifest: (manifest) =>
            tellExpected(control, { image: `${reference}`, manifest }),
        }
        : { indexDigest: parseDigest(values["soci-index-digest"]) }),
      onLayers: (layers) => progress.layers(layers),
      onDownload: (layer, bytes) => progress.came(layer, bytes),
      onLayer: (layer) => {
        progress.done(layer.descriptor.digest);
        if (report) progress.print(describeLayer(layer));
      },
    });
    const ms = Math.round(performance.now() - started);
    if (values.json) {
      progress.print(JSON.stringify({ ...result, ms }, null, 2));
    } else if (values.quiet) progress.print(result.manifest.digest);
    else progress.print(`${result.name} is ready after ${ms} ms`);
    return 0;
  },
};

function policyFlag(text: string | undefined): ImagePolicy | undefined {
  if (text === undefined || isImagePolicy(text)) return text;
  throw new UsageError(
    `--policy: "${text}" is none of ${IMAGE_POLICIES.join(", ")}`,
  );
}

const OUTCOMES: Readonly<Record<PulledLayer["outcome"], string>> = {
  served: "served",
  present: "already present",
  unpacked: "downloaded and unpacked",
};

function describeLayer({ descriptor, outcome }: PulledLayer): string {
  return `layer ${descriptor.digest} ${
    formatBytes(descriptor.size).padStart(9)
  }  ${OUTCOMES[outcome]}`;
}
