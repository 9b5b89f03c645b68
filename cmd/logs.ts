/** Log set-up of subcommands. @module */
import {
  configureLogs,
  LOG_LEVELS,
  type LogFormat,
  type LogLevel,
} from "../lib/telemetry/mod.ts";
import { UsageError } from "./command.ts";

/** Starts logging to stderr. @throws UsageError */
export async function startLogs(
  level: string,
  format: LogFormat,
): Promise<void> {
  const known = level === "warning" ? "warn" : level; // as the existing daemon takes it
  if (!LOG_LEVELS.includes(known as LogLevel)) {
    throw new UsageError(
      `--log-level: "${level}" is none of ${LOG_LEVELS.join(", ")}`,
    );
  }
  await configureLogs({ level: known as LogLevel, format });
}
