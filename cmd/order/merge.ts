/** `soci-deno order merge`. @module */
import { encodeRecording } from "../../lib/formats/order/mod.ts";
import {
  DEFAULT_SUPPORT,
  mergeRecordings,
} from "../../lib/images/order/mod.ts";
import { type Command, parseCommandLine, UsageError } from "../command.ts";
import { readRecording, shareFlag, workloadFlag } from "./common.ts";

const HELP = `
Make one recording of several: bytes that enough of the runs touched, in the order of their median
rank. Layers are known by digest, so recordings of other images with the same base may be merged in.

Usage: soci-deno order merge [flags] -o FILE RECORDING…

Flags:
  -o, --output FILE       where it goes
  --support SHARE         keep what this share of the runs touched (default ${DEFAULT_SUPPORT})
  --workload NAME         its workload (default: the first recording's)
  --json                  the result as JSON
`;

/** The `order merge` subcommand. */
export const orderMergeCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        output: { type: "string", short: "o" },
        support: { type: "string", default: String(DEFAULT_SUPPORT) },
        workload: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
    const { output } = values;
    if (output === undefined || positionals.length === 0) {
      throw new UsageError("say `order merge -o FILE RECORDING…`");
    }
    const minSupport = shareFlag("--support", values.support);
    const workload = workloadFlag(values.workload);
    const recordings = await Promise.all(positionals.map(readRecording));
    const merged = mergeRecordings(recordings, { minSupport, workload });
    await Deno.writeFile(output, encodeRecording(merged));
    const bytes = merged.touches.reduce((sum, { length }) => sum + length, 0);
    const { runs, touches: { length: ranges } } = merged;
    console.log(
      values.json
        ? JSON.stringify({ output, runs, ranges, bytes }, null, 2)
        : `${output}: ${ranges} ranges, ${bytes} bytes, of ${runs} runs`,
    );
    return 0;
  },
};
