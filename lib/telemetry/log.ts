import type {
  getLogger,
  Logger as TapeLogger,
  LogRecord,
} from "@logtape/logtape";
import { plainPermissions } from "./permission.ts";

/** Levels, most talkative first, with the names the existing SOCI daemon takes. */
export const LOG_LEVELS = [
  "trace",
  "debug",
  "info",
  "warn",
  "error",
  "fatal",
  "panic",
] as const;
/** One of {@linkcode LOG_LEVELS}. */
export type LogLevel = typeof LOG_LEVELS[number];
/** `json`: one object per line. `text`: a short line for a person. */
export type LogFormat = "json" | "text";
/** Takes a constant message and the facts as fields. */
export type Logger = Readonly<
  Record<
    "debug" | "info" | "warn" | "error",
    (message: string, fields?: Record<string, unknown>) => void
  >
>;

/** What is logged, in which shape, and where it goes. */
export interface LogOptions {
  /** The lowest level that is written. */
  readonly level: LogLevel;
  /** The shape of a line. */
  readonly format: LogFormat;
  /** Takes one finished line, without its newline. Default: stderr. */
  readonly write?: (line: string) => void;
}

type TapeLevel = LogRecord["level"];

const TO_TAPE: Readonly<Record<LogLevel, TapeLevel>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
  fatal: "fatal",
  panic: "fatal",
};

const FROM_TAPE: Readonly<Record<TapeLevel, LogLevel>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  fatal: "fatal",
};

const encoder = new TextEncoder();

function writeToStderr(line: string): void {
  Deno.stderr.writeSync(encoder.encode(`${line}\n`));
}

/** Errors become their message chain: a stack is of no use to the person who reads the record. */
function plainValue(value: unknown): unknown {
  if (typeof value === "string") return plainPermissions(value);
  if (!(value instanceof Error)) return value;
  const message = plainPermissions(value.message);
  return value.cause === undefined
    ? message
    : `${message}: ${String(plainValue(value.cause))}`;
}

function plainFields(record: LogRecord): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record.properties).map((
      [key, value],
    ) => [key, plainValue(value)]),
  );
}

function jsonLine(record: LogRecord): string {
  return JSON.stringify({
    time: new Date(record.timestamp).toISOString(),
    level: FROM_TAPE[record.level],
    msg: record.message.join(""),
    room: record.category.slice(1).join("."),
    ...plainFields(record),
  }, (_key, value) => typeof value === "bigint" ? value.toString() : value);
}

function textLine(record: LogRecord): string {
  const fields = Object.entries(plainFields(record)).map(([key, value]) =>
    ` ${key}=${value}`
  );
  return `${FROM_TAPE[record.level]}: ${record.message.join("")}${
    fields.join("")
  }`;
}

/** So many lines are kept for `recentLines`, each cut at so many characters. */
const KEPT_LINES = 1_000;
const KEPT_CHARACTERS = 2_000;
const kept: string[] = [];
let nextKept = 0;

function keep(line: string): void {
  kept[nextKept] = line.slice(0, KEPT_CHARACTERS);
  nextKept = (nextKept + 1) % KEPT_LINES;
}

/** The last lines that were written, oldest first. */
export function recentLines(): string[] {
  return [...kept.slice(nextKept), ...kept.slice(0, nextKept)];
}

/** Null until logs are configured: most commands never do, and would wait for the library. */
let loggerOf: typeof getLogger | null = null;

/** Sets up logging for the process; a second call replaces the first. */
export async function configureLogs(options: LogOptions): Promise<void> {
  const { configure, getLogger } = await import("@logtape/logtape");
  const write = options.write ?? writeToStderr;
  const toLine = options.format === "json" ? jsonLine : textLine;
  await configure({
    reset: true,
    sinks: {
      lines: (record) => {
        const line = toLine(record);
        keep(line);
        write(line);
      },
    },
    loggers: [
      {
        category: "soci-deno",
        lowestLevel: TO_TAPE[options.level],
        sinks: ["lines"],
      },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
  loggerOf = getLogger;
}

/** The logger of one room, such as `logger("spans")`. Silent until logs are configured. */
export function logger(room: string): Logger {
  let own: TapeLogger | null = null;
  const at =
    (level: keyof Logger): Logger[typeof level] => (message, fields = {}) => {
      if (loggerOf === null) return;
      own ??= loggerOf(["soci-deno", room]);
      own[level](message, fields);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
  };
}
