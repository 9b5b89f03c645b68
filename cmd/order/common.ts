/** What the `order` commands share. @module */
import {
  decodeRecording,
  isWorkload,
  MAX_RECORDING_BYTES,
  OrderError,
  type Recording,
} from "../../lib/formats/order/mod.ts";
import { UsageError } from "../command.ts";

/** Reads the recording of a file. @throws Error that names the file */
export async function readRecording(path: string): Promise<Recording> {
  const { size } = await Deno.stat(path);
  if (size > MAX_RECORDING_BYTES) {
    throw new Error(`${path} is no recording: it has ${size} bytes`);
  }
  try {
    return decodeRecording(await Deno.readFile(path));
  } catch (cause) {
    if (!(cause instanceof OrderError)) throw cause;
    throw new Error(`${path}: ${cause.message}`, { cause });
  }
}

/** A workload's name from the command line. @throws UsageError */
export function workloadFlag(text: string | undefined): string | undefined {
  if (text === undefined || isWorkload(text)) return text;
  throw new UsageError(
    `--workload: "${text}" is no name: at most 64 lower-case letters, digits, dots, dashes and underscores`,
  );
}

/** A share from the command line, such as 0.5. @throws UsageError */
export function shareFlag(flag: string, text: string): number {
  const share = Number(text);
  if (text !== "" && share >= 0 && share <= 1) return share;
  throw new UsageError(`${flag}: "${text}" is no share (write 0.5)`);
}
