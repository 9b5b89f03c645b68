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
  if (!LOG_LEVELS.includes(level as LogLevel)) {
    throw new UsageError(
      `--log-level: "${level}" is none of ${LOG_LEVELS.join(", ")}`,
    );
  }
  await configureLogs({ level: level as LogLevel, format });
}
