/** `soci-deno debug trace`: the reads of lazy layers, as they come. @module */
import { askStatus } from "../../lib/host/control/mod.ts";
import { askRecording } from "../../lib/host/handover/mod.ts";
import {
  type Command,
  noArgument,
  parseCommandLine,
  UsageError,
} from "../command.ts";
import type { DaemonStatus } from "../daemon_status.ts";
import { daemonRoot, DEFAULT_ROOT } from "../root.ts";
import { StopSignal } from "../stop_signal.ts";
import { parseDuration } from "../table.ts";

const HELP = `
Watch the reads of all lazy layers for a while, and then print each: when, of which layer, which
bytes of its tar, how many, and how long the reader waited for them. These are the requests that
can be slow; all others are answered from memory. Reading is not slowed down.

Usage: soci-deno debug trace [flags]

Flags:
  --for DURATION   how long (default 10s; Ctrl-C ends it sooner)
  --root DIR       the daemon's root (default ${DEFAULT_ROOT}; also SOCI_SNAPSHOTTER_ROOT)
  --json           one JSON object a line
`;

/** The `debug trace` subcommand. */
export const debugTraceCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        for: { type: "string", default: "10s" },
        root: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
    noArgument(positionals, "debug trace");
    const ms = parseDuration(values.for);
    if (ms === null) {
      throw new UsageError(`--for: "${values.for}" is no duration (write 10s)`);
    }
    const root = daemonRoot(values.root);
    const control = `${root}/control.sock`;
    const status = await askStatus(control) as DaemonStatus | null;
    if (status === null) {
      console.error(`soci-deno debug trace: no daemon runs on ${root}`);
      return 1;
    }
    using recording = await askRecording(
      control,
      status.layers.map(({ digest }) => digest),
    );
    if (recording === null) throw new Error("the daemon has just ended");
    const began = Date.now();
    await wait(ms);
    const { lost } = await recording.progress();
    for (
      const [layer, offset, length, atMs, waitedMs] of await recording.end()
    ) {
      const read = {
        atMs: Number((atMs - began).toFixed(3)),
        layer: recording.served[layer] ?? "?",
        offset,
        length,
        waitedMs: Number(waitedMs.toFixed(3)),
      };
      console.log(values.json ? JSON.stringify(read) : describe(read));
    }
    if (lost > 0) console.error(`${lost} reads more were lost`);
    return 0;
  },
};

function describe(
  { atMs, layer, offset, length, waitedMs }: {
    readonly atMs: number;
    readonly layer: string;
    readonly offset: number;
    readonly length: number;
    readonly waitedMs: number;
  },
): string {
  const waited = waitedMs === 0 ? "here" : `waited ${waitedMs.toFixed(1)} ms`;
  return `${`+${atMs.toFixed(1)}`.padStart(9)} ms  ${layer.slice(0, 19)}  ${
    String(offset).padStart(12)
  } ${String(length).padStart(9)}  ${waited}`;
}

async function wait(ms: number): Promise<void> {
  using stop = new StopSignal();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
