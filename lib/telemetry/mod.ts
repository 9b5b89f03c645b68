/**
 * Telemetry: what the program says about itself while it runs.
 *
 * Logs go to stderr, as JSON lines (the daemon) or as short text (a person at a terminal). Every record
 * is a constant message with variable fields, so that records can be counted. Registry addresses are
 * redacted of their query strings before they reach a record.
 * @module
 */
export {
  configureLogs,
  LOG_LEVELS,
  type LogFormat,
  type Logger,
  logger,
  type LogLevel,
  type LogOptions,
  recentLines,
} from "./log.ts";
export { scrub, scrubText } from "./scrub.ts";
export { type CountedEvent, countEvent, eventCounts } from "./counters.ts";
export { plainPermissions } from "./permission.ts";
export { redactUrl } from "./redact.ts";
export {
  noteStateDamage,
  type StateDamage,
  stateDamages,
  tellStateDamage,
} from "./state_damage.ts";
