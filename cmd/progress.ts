/**
 * Progress of long work on a terminal: one line per task with bytes, rate and time left. In a pipe
 * nothing is printed.
 * @module
 */
import { formatBytes } from "./command.ts";

/** One line of progress. */
export interface ProgressTask {
  /** There are more bytes to do. */
  grow(bytes: number): void;
  /** Adds bytes that are now done. */
  advance(bytes: number): void;
  /** Ends the line with a closing word, such as `done` or `too small`. */
  finish(note: string): void;
}

interface Line {
  readonly label: string;
  totalBytes: number;
  readonly startedMs: number;
  doneBytes: number;
  note: string | null;
}

const REDRAW_EVERY_MS = 100;
const BAR_WIDTH = 20;

function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "--:--";
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function draw(line: Line, nowMs: number): string {
  const share = line.totalBytes === 0
    ? 1
    : Math.min(1, line.doneBytes / line.totalBytes);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "█".repeat(filled) + "·".repeat(BAR_WIDTH - filled);
  const seconds = Math.max(0.001, (nowMs - line.startedMs) / 1000);
  const rate = line.doneBytes / seconds;
  const tail = line.note ??
    `${formatBytes(rate)}/s  ${
      formatSeconds((line.totalBytes - line.doneBytes) / rate)
    } left`;
  return `${line.label} ${bar} ${formatBytes(line.doneBytes)} of ${
    formatBytes(line.totalBytes)
  }  ${tail}`;
}

/** A block of progress lines on stderr, redrawn in place; silent when stderr is no terminal. */
export class Progress implements Disposable {
  readonly #lines: Line[] = [];
  readonly #encoder = new TextEncoder();
  readonly #timer: ReturnType<typeof setInterval> | null;
  #drawnLines = 0;

  /** @param options `enabled` overrides the test for a terminal. */
  constructor(options: { readonly enabled?: boolean } = {}) {
    const enabled = options.enabled ?? Deno.stderr.isTerminal();
    this.#timer = enabled
      ? setInterval(() => this.#redraw(), REDRAW_EVERY_MS)
      : null;
  }

  /** Adds a line; `totalBytes` may be 0 when it is not known. */
  task(label: string, totalBytes: number): ProgressTask {
    const line: Line = {
      label,
      totalBytes,
      startedMs: performance.now(),
      doneBytes: 0,
      note: null,
    };
    this.#lines.push(line);
    return {
      grow: (bytes) => {
        line.totalBytes += bytes;
      },
      advance: (bytes) => {
        line.doneBytes += bytes;
      },
      finish: (note) => {
        line.note = note;
      },
    };
  }

  #redraw(): void {
    const now = performance.now();
    const up = this.#drawnLines === 0 ? "" : `\x1b[${this.#drawnLines}A`;
    const body = this.#lines.map((line) => `\x1b[2K${draw(line, now)}\n`).join(
      "",
    );
    Deno.stderr.writeSync(this.#encoder.encode(up + body));
    this.#drawnLines = this.#lines.length;
  }

  /** Draws the last state and stops. */
  [Symbol.dispose](): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#redraw();
  }
}
