/** `soci-deno status --watch`: a page on the terminal that is drawn anew each second. @module */
import { askStatus, StatusError } from "../../lib/host/control/mod.ts";
import { formatBytes } from "../command.ts";
import type { DaemonStatus } from "../daemon_status.ts";
import { StopSignal } from "../stop_signal.ts";
import { imageTable } from "./images.ts";
import { formatUptime } from "./text.ts";

const EVERY_MS = 1_000;
/** What the columns beside the names take, about. */
const OTHER_COLUMNS = 84;
const MIN_NAME = 21;

/** Of the terminal (xterm's control sequences): another screen without cursor, and back. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Draws until Ctrl-C or SIGTERM, and leaves the terminal as it was. @returns the exit code */
export async function watch(root: string): Promise<number> {
  using stop = new StopSignal();
  const { signal } = stop;
  let before: Moment | null = null;
  await write(ENTER);
  try {
    while (!signal.aborted) {
      const now = await look(root);
      const { columns, rows } = Deno.consoleSize();
      const lines = page(root, now, before, { columns, rows });
      await write(
        `${HOME}${
          lines.map((line) => `${line}${CLEAR_LINE}`).join("\r\n")
        }${CLEAR_BELOW}`,
      );
      before = now;
      await pause(EVERY_MS, signal);
    }
  } finally {
    await write(LEAVE);
  }
  return 0;
}

/** What was seen at one moment. */
interface Moment {
  readonly at: Date;
  /** The daemon's answer; text where there is none. */
  readonly status: DaemonStatus | string;
}

async function look(root: string): Promise<Moment> {
  const at = new Date();
  try {
    const answer = await askStatus(`${root}/control.sock`);
    return {
      at,
      status: answer === null
        ? `no daemon runs on ${root}; waiting for one`
        : answer as DaemonStatus,
    };
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return { at, status: error.message };
  }
}

/** The lines of the page, as many and as long as the terminal shows. */
function page(
  root: string,
  now: Moment,
  before: Moment | null,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): string[] {
  const head = `soci-deno on ${root}, ${
    now.at.toTimeString().slice(0, 8)
  }. Ctrl-C ends`;
  const body = typeof now.status === "string" ? [now.status] : [
    ...summary(now.status, rateOf(now, before)),
    "",
    ...fitted(
      imageTable(now.status, Math.max(MIN_NAME, columns - OTHER_COLUMNS)),
      rows - 5,
    ),
  ];
  return [head, ...body].slice(0, rows).map((line) => line.slice(0, columns));
}

function summary(status: DaemonStatus, bytesPerSecond: number): string[] {
  const { cache, fetched, layers } = status;
  const waiting = layers.reduce((sum, { readers }) => sum + (readers ?? 0), 0);
  return [
    `process ${status.pid}, up ${formatUptime(status.upSeconds)}; ${
      (status.images ?? []).length
    } images, ${layers.length} layers; ${waiting} reads wait`,
    `${formatBytes(bytesPerSecond)}/s come; fetched ${
      formatBytes(fetched.demandBytes)
    } for readers, ${formatBytes(fetched.prefetchBytes)} ahead, ${
      formatBytes(fetched.backgroundBytes)
    } in the background; cache ${formatBytes(cache.bytes)}`,
  ];
}

function rateOf(now: Moment, before: Moment | null): number {
  if (typeof now.status === "string") return 0;
  if (before === null || typeof before.status === "string") return 0;
  const bytes = ({ fetched }: DaemonStatus) =>
    fetched.demandBytes + fetched.prefetchBytes + fetched.backgroundBytes;
  const ms = now.at.getTime() - before.at.getTime();
  // Another process counts anew.
  return Math.max(0, bytes(now.status) - bytes(before.status)) /
    Math.max(1, ms) * 1000;
}

/** Where there is no room for all, layers that rest go first; then what is left is cut. */
function fitted(table: ReturnType<typeof imageTable>, rows: number): string[] {
  const shown = table.length <= rows
    ? table
    : table.filter(({ kind, busy }) => kind !== "layer" || busy);
  const texts = shown.map(({ text }) => text);
  if (texts.length <= rows) return texts;
  const kept = texts.slice(0, Math.max(0, rows - 1));
  return [...kept, `and ${texts.length - kept.length} lines more`];
}

async function write(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += await Deno.stdout.write(bytes.subarray(at));
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
