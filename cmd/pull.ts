/**
 * `soci-deno pull`: a lazy pull into containerd, for hosts without another client that does it.
 * @module
 */
import { connectContainerd } from "../lib/remote/containerd/mod.ts";
import {
  hostPlatform,
  parseDigest,
  parsePlatform,
} from "../lib/formats/oci/mod.ts";
import { type PulledLayer, pullImage } from "../lib/images/pulling/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import {
  type Command,
  formatBytes,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { Progress, type ProgressTask } from "./progress.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";

const HELP = `
Pull an image into containerd lazily: its layers are offered to the snapshotter and only
downloaded when it declines. \`ctr run --snapshotter soci IMAGE ID\` then starts it.

Usage: soci-deno pull [flags] IMAGE

Flags:
  -a, --address SOCKET  containerd's socket (default /run/containerd/containerd.sock;
                        also CONTAINERD_ADDRESS)
  -n, --namespace NAME  containerd's namespace (default "default"; also CONTAINERD_NAMESPACE)
  --snapshotter NAME    its name in containerd's configuration (default soci;
                        also CONTAINERD_SNAPSHOTTER)
  --platform OS/ARCH    which image of a multi-platform one (default: this machine's)
  --soci-index-digest D use this index and no other
  -q, --quiet           print the manifest digest alone
  --json                the result as JSON
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
        address: { type: "string", short: "a" },
        namespace: { type: "string", short: "n" },
        snapshotter: { type: "string" },
        platform: { type: "string" },
        "soci-index-digest": { type: "string" },
        quiet: { type: "boolean", short: "q", default: false },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const [image, ...extra] = positionals;
    if (image === undefined || extra.length > 0) {
      throw new UsageError("say `pull IMAGE`");
    }
    const reference = parseReference(image);
    const snapshotter = values.snapshotter ??
      Deno.env.get("CONTAINERD_SNAPSHOTTER") ?? "soci";
    const started = performance.now();
    using client = registryClient(values, reference.host);
    using containerd = await connectContainerd(
      values.address ?? Deno.env.get("CONTAINERD_ADDRESS") ??
        "/run/containerd/containerd.sock",
      {
        namespace: values.namespace ?? Deno.env.get("CONTAINERD_NAMESPACE") ??
          "default",
        snapshotter,
      },
    );
    using progress = new Progress();
    const downloads = new Map<string, ProgressTask>();
    const report = !values.quiet && !values.json;
    const result = await pullImage({
      client,
      containerd,
      snapshotter,
      reference,
      platform: values.platform === undefined
        ? hostPlatform()
        : parsePlatform(values.platform),
      ...(values["soci-index-digest"] !== undefined &&
        { indexDigest: parseDigest(values["soci-index-digest"]) }),
      onDownload: ({ digest, size }, bytes) => {
        const task = downloads.get(digest) ??
          progress.task(digest.slice(7, 19), size);
        downloads.set(digest, task);
        task.advance(bytes);
      },
      onLayer: (layer) => {
        downloads.get(layer.descriptor.digest)?.finish("done");
        if (report) console.log(describeLayer(layer));
      },
    });
    const ms = Math.round(performance.now() - started);
    if (values.json) console.log(JSON.stringify({ ...result, ms }, null, 2));
    else if (values.quiet) console.log(result.manifest.digest);
    else console.log(`${result.name} is ready after ${ms} ms`);
    return 0;
  },
};

const OUTCOMES: Readonly<Record<PulledLayer["outcome"], string>> = {
  served: "served lazily",
  present: "already present",
  unpacked: "downloaded and unpacked",
};

function describeLayer({ descriptor, outcome }: PulledLayer): string {
  return `layer ${descriptor.digest} ${
    formatBytes(descriptor.size).padStart(9)
  }  ${OUTCOMES[outcome]}`;
}
