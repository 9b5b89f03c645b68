/** `soci-deno order show`. @module */
import { decodeZtoc } from "../../lib/formats/ztoc/mod.ts";
import { parsePlatform } from "../../lib/formats/oci/mod.ts";
import type { Recording } from "../../lib/formats/order/mod.ts";
import {
  openOrderedImage,
  type OrderSummary,
  summaryOf,
  timelineSvg,
  type TouchedGroup,
  ztocsOfImage,
} from "../../lib/images/order/mod.ts";
import { parseReference } from "../../lib/remote/registry/mod.ts";
import {
  type Command,
  formatBytes,
  onlyArgument,
  parseCommandLine,
} from "../command.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "../registry_flags.ts";
import { StopSignal } from "../stop_signal.ts";
import { table } from "../table.ts";
import { readRecording } from "./common.ts";

const HELP = `
Print what a recording touches: by file, in order of first touch, by layer and by class. The names of
files come from the index of the image in its registry.

Usage: soci-deno order show [flags] RECORDING

Flags:
  --image IMAGE           where the index is looked for (default: the image that was recorded)
  --no-files              ask no registry: layers alone
  --svg FILE              draw what was touched when, and what waited
  --all                   every file (default: the first 40)
  --json                  all of it as JSON
${REGISTRY_HELP}
`;

const SHOWN_FILES = 40;

/** The `order show` subcommand. */
export const orderShowCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        image: { type: "string" },
        "no-files": { type: "boolean", default: false },
        svg: { type: "string" },
        all: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const path = onlyArgument(positionals, "order show RECORDING");
    const recording = await readRecording(path);
    const ztocs = values["no-files"]
      ? recording.layers.map(() => null)
      : await ztocsOf(recording, values.image ?? recording.image, values);
    const summary = summaryOf(recording, ztocs);
    if (values.svg !== undefined) {
      await Deno.writeTextFile(values.svg, timelineSvg(recording, summary));
    }
    if (values.json) {
      const { image, workload, platform, runs } = recording;
      const { fileOf: _, ...told } = summary;
      console.log(
        JSON.stringify({ image, workload, platform, runs, ...told }, null, 2),
      );
    } else console.log(describe(recording, summary, values.all));
    return 0;
  },
};

async function ztocsOf(
  recording: Recording,
  name: string,
  values: Parameters<typeof registryClient>[0],
) {
  const reference = parseReference(name);
  using client = registryClient(values, reference.host);
  using stop = new StopSignal();
  const { signal } = stop;
  const platform = recording.platform === ""
    ? undefined
    : parsePlatform(recording.platform);
  const image = await openOrderedImage(client, reference, platform, signal);
  const ztocOf = await ztocsOfImage(image, signal);
  const ztocs = [];
  for (const layer of recording.layers) {
    const ztoc = ztocOf(layer);
    ztocs.push(
      ztoc === null
        ? null
        : decodeZtoc(await image.place.bytes(ztoc, { signal })),
    );
  }
  return ztocs;
}

function describe(
  { image, workload, platform, runs }: Recording,
  { files, layers, classes, ...all }: OrderSummary,
  everyFile: boolean,
): string {
  const shown = everyFile ? files : files.slice(0, SHOWN_FILES);
  const group = (head: string, groups: readonly TouchedGroup[]) =>
    table([
      [head, "FILES", "RANGES", "BYTES"],
      ...groups.map(({ name, files, ranges, bytes }) => [
        name,
        String(files),
        String(ranges),
        formatBytes(bytes),
      ]),
    ]);
  return [
    `${image}  ${workload}  ${platform}  ${runs} run${runs === 1 ? "" : "s"}`,
    `${all.ranges} ranges, ${formatBytes(all.bytes)}, over ${
      Math.round(all.ms)
    } ms; ${all.waits} waited`,
    "",
    group("LAYER", layers),
    "",
    group("CLASS", classes),
    "",
    table([
      ["FIRST MS", "WAITED MS", "RANGES", "TOUCHED", "OF", "CLASS", "FILE"],
      ...shown.map((file) => [
        file.firstMs.toFixed(1),
        file.waitedMs === 0 ? "" : file.waitedMs.toFixed(1),
        String(file.ranges),
        formatBytes(file.bytes),
        formatBytes(file.size),
        file.class,
        oneLine(file.path) || "(no known file)",
      ]),
    ]),
    ...(shown.length < files.length
      ? [`… and ${files.length - shown.length} more; --all shows them`]
      : []),
  ].join("\n");
}

/** A name may hold a line break, and the table would show two lines. */
function oneLine(path: string): string {
  return path.replace(/\p{Cc}/gu, "\ufffd");
}
