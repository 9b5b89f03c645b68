/**
 * `soci-deno record`: notes which bytes of an image a workload reads until it is ready.
 * @module
 */
import { formatPlatform, hostPlatform } from "../lib/formats/oci/mod.ts";
import {
  encodeRecording,
  isWorkload,
  type Recording,
} from "../lib/formats/order/mod.ts";
import { type ReadySigns, recordStart } from "../lib/images/order/mod.ts";
import { pullImage } from "../lib/images/pulling/mod.ts";
import { ContainerdPlace } from "../lib/remote/content/mod.ts";
import { readFamily } from "../lib/remote/image/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import { platformFlag } from "./platform_flags.ts";
import {
  type Command,
  formatBytes,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { SESSION_OPTIONS, snapshotterOf } from "./flags.ts";
import { MAIN_WORKLOAD, recordingFile } from "./recording_file.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";
import { Session, SESSION_HELP } from "./session.ts";
import { parseDuration } from "./table.ts";

const HELP = `
Run an image and note which bytes of it are read, in order, until the workload is ready. What it
notes is a file; \`soci-deno order push\` makes a load order of it and puts it beside the image.

Usage:
  soci-deno record [flags] IMAGE [-- COMMAND…]   COMMAND instead of the image's own
  soci-deno record --no-run [flags] IMAGE        you start the workload yourself

The image is pulled first. The running daemon does the noting; nothing else should use the image
meanwhile. While it notes, the kernel reads nothing ahead; before it, the machine's page cache is
dropped, because pages that are in it are not read again.

Ready is (the first that holds; the container's end always is):
  --until-exit            the container ends
  --until-log REGEX       a line of its output matches
  --until-port N          something listens on this port of this machine; runs with --net-host
  --until-http URL        this address answers with a status below 500; runs with --net-host
  --until-idle DURATION   it has read, and then for so long nothing more
  --for DURATION          so much time has passed
(default: --until-idle 2s)

Flags:
  -o, --output FILE       where the recording goes (default: named for the image and workload)
  --workload NAME         which workload of the image this is (default "${MAIN_WORKLOAD}")
  --no-pull               the image is in containerd already
  --no-run                only note; needs one of the signs above
  --run-flag FLAG         a further flag of \`ctr run\`, such as --run-flag=--env=A=B (may be repeated)
  --keep-page-cache       do not drop it: then only what is not in it is noted
  --snapshotter NAME      its name in containerd's configuration (default soci;
                          also CONTAINERD_SNAPSHOTTER)
  --platform OS/ARCH      which image of a multi-platform one (default: this machine's)
  --root DIR              the daemon's root (default ${DEFAULT_ROOT};
                          also SOCI_SNAPSHOTTER_ROOT)
  --json                  the result as JSON
${SESSION_HELP}
${REGISTRY_HELP}
`;

const OPTIONS = {
  "until-exit": { type: "boolean", default: false },
  "until-log": { type: "string" },
  "until-port": { type: "string" },
  "until-http": { type: "string" },
  "until-idle": { type: "string" },
  for: { type: "string" },
  output: { type: "string", short: "o" },
  workload: { type: "string", default: MAIN_WORKLOAD },
  "no-pull": { type: "boolean", default: false },
  "no-run": { type: "boolean", default: false },
  "run-flag": { type: "string", multiple: true },
  "keep-page-cache": { type: "boolean", default: false },
  snapshotter: { type: "string" },
  platform: { type: "string" },
  root: { type: "string" },
  json: { type: "boolean", default: false },
  ...SESSION_OPTIONS,
  ...REGISTRY_OPTIONS,
} as const;

/** The `record` subcommand. */
export const recordCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: OPTIONS,
    });
    const [name, ...command] = positionals;
    if (name === undefined) throw new UsageError("say `record IMAGE`");
    if (!isWorkload(values.workload)) {
      throw new UsageError(
        "--workload takes at most 64 lower-case letters, digits, dots, dashes and underscores",
      );
    }
    const until = readSigns(values);
    const hasSign = Object.values(until).some((sign) => sign !== undefined);
    if (values["no-run"]) {
      if (!hasSign) {
        throw new UsageError("--no-run needs one of --until… or --for");
      }
      if (command.length > 0) throw new UsageError("--no-run takes no command");
    }
    const reference = parseReference(name);
    const snapshotter = snapshotterOf(values.snapshotter);
    const root = daemonRoot(values.root);
    await using session = await Session.open(values);
    const { signal } = session;
    const containerd = await session.containerd();
    const platform = platformFlag(values.platform);
    const say = (line: string) => console.error(line);
    if (!values["no-pull"]) {
      using client = registryClient(values, reference.host);
      await pullImage({
        ...{ client, containerd, signal, snapshotter, reference, platform },
        onDownload: () => {},
        onLayer: () => {},
      });
    }
    const image = reference.toString();
    const family = await readFamily(
      new ContainerdPlace(containerd, image),
      signal,
    );
    const one = await family.one(platform, signal);
    const needsNetwork = until.port !== undefined || until.url !== undefined;
    const result = await recordStart({
      controlSocket: `${root}/control.sock`,
      image,
      workload: values.workload,
      platform: formatPlatform(platform ?? one.platform ?? hostPlatform()),
      layers: one.manifest.layers.map(({ digest }) => digest),
      run: values["no-run"] ? null : {
        ctr: [
          ...["ctr", "--address", session.address],
          ...["--namespace", session.namespace],
        ],
        snapshotter,
        flags: [
          ...(needsNetwork ? ["--net-host"] : []),
          ...values["run-flag"] ?? [],
        ],
        command,
      },
      until: hasSign || values["until-exit"]
        ? until
        : { ...until, idleMs: DEFAULT_IDLE_MS },
      pageCache: values["keep-page-cache"] ? "kept" : "dropped",
      signal,
      say,
    });
    for (const layer of result.unserved) {
      say(`layer ${layer} is not served by the daemon: nothing of it is noted`);
    }
    if (result.lost > 0) say(`${result.lost} reads are not noted: too many`);
    const output = values.output ?? recordingFile(name, values.workload);
    await Deno.writeFile(output, encodeRecording(result.recording));
    const facts = factsOf(result.recording);
    console.log(
      values.json
        ? JSON.stringify(
          {
            output,
            image,
            ...facts,
            lost: result.lost,
            unserved: result.unserved,
          },
          null,
          2,
        )
        : `${output}: ${facts.ranges} ranges, ${
          formatBytes(facts.bytes)
        } of ${facts.layers} layers, over ${facts.ms} ms; ${facts.waited} waited`,
    );
    return 0;
  },
};

const DEFAULT_IDLE_MS = 2_000;

function readSigns(
  values: {
    readonly "until-log"?: string | undefined;
    readonly "until-port"?: string | undefined;
    readonly "until-http"?: string | undefined;
    readonly "until-idle"?: string | undefined;
    readonly for?: string | undefined;
  },
): ReadySigns {
  const port = values["until-port"];
  if (
    port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) < 65_536)
  ) {
    throw new UsageError(`--until-port: "${port}" is no port`);
  }
  const url = values["until-http"];
  if (url !== undefined && !/^https?:\/\//.test(url)) {
    throw new UsageError(`--until-http: "${url}" is no http address`);
  }
  return {
    log: pattern(values["until-log"]),
    port: port === undefined ? undefined : Number(port),
    url,
    idleMs: duration("--until-idle", values["until-idle"]),
    forMs: duration("--for", values.for),
  };
}

function pattern(text: string | undefined): RegExp | undefined {
  if (text === undefined) return undefined;
  try {
    return new RegExp(text);
  } catch (cause) {
    throw new UsageError(`--until-log: ${(cause as Error).message}`, { cause });
  }
}

function duration(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms !== null) return ms;
  throw new UsageError(`${flag}: "${text}" is no duration (write 2s)`);
}

function factsOf({ touches, layers }: Recording) {
  return {
    layers: layers.length,
    ranges: touches.length,
    bytes: touches.reduce((sum, { length }) => sum + length, 0),
    ms: Math.round(touches.at(-1)?.ms ?? 0),
    waited: touches.filter(({ waitedMs }) => waitedMs > 0).length,
  };
}
