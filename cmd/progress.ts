/**
 * Progress of long work on a terminal: one line per task with bytes, rate and time left. In a pipe
 * no progress is printed.
 * @module
 */
import { formatBytes } from "./command.ts";

/** One line of progress. */
export interface ProgressTask {
  /** There are more bytes to do. */
  grow(bytes: number): void;
  /** Adds bytes that are now done. */
  advance(bytes: number): void;
  /** Takes the line away: what became of it is printed. */
  finish(): void;
}

interface Line {
  readonly label: string;
  totalBytes: number;
  readonly startedMs: number;
  doneBytes: number;
}

const REDRAW_EVERY_MS = 100;
const BAR_WIDTH = 20;
const ENCODER = new TextEncoder();

function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "--:--";
  const whole = Math.ceil(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function draw(line: Line, nowMs: number): string {
  const seconds = Math.max(0.001, (nowMs - line.startedMs) / 1000);
  const rate = line.doneBytes / seconds;
  const done = `${formatBytes(line.doneBytes)}`;
  if (line.totalBytes === 0) {
    return `${line.label} ${done}  ${formatBytes(rate)}/s`;
  }
  const share = Math.min(1, line.doneBytes / line.totalBytes);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "█".repeat(filled) + "·".repeat(BAR_WIDTH - filled);
  const left = formatSeconds((line.totalBytes - line.doneBytes) / rate);
  return `${line.label} ${bar} ${done} of ${formatBytes(line.totalBytes)}  ${
    formatBytes(rate)
  }/s  ${left} left`;
}

/** What the block is drawn with. */
type Draw = ((text: string) => void) & { clear(): void; done(): void };

/**
 * A block of progress lines on stderr, of the tasks that are not finished, redrawn in place; silent when stderr is no
 * terminal. While it is there, other lines are printed by `print` alone: the block gives way to them.
 */
export class Progress implements Disposable {
  readonly #lines = new Set<Line>();
  readonly #timer: ReturnType<typeof setInterval> | null;
  #draw: Draw | null = null;
  #over = false;

  /** @param options `enabled` overrides the test for a terminal. */
  constructor(options: { readonly enabled?: boolean } = {}) {
    const enabled = options.enabled ?? Deno.stderr.isTerminal();
    if (enabled) this.#load();
    this.#timer = enabled
      ? setInterval(() => this.#redraw(), REDRAW_EVERY_MS)
      : null;
  }

  /** Loaded late: only a terminal needs it. */
  async #load(): Promise<void> {
    const { createLogUpdate } = await import("log-update");
    if (this.#over) return;
    const stream = {
      isTTY: true,
      write: (text: string) => Deno.stderr.writeSync(ENCODER.encode(text)) > 0,
      get columns() {
        return Deno.consoleSize().columns;
      },
      get rows() {
        return Deno.consoleSize().rows;
      },
    };
    this.#draw = createLogUpdate(
      stream as unknown as Parameters<typeof createLogUpdate>[0],
      { showCursor: true },
    );
  }

  /** Adds a line; `totalBytes` may be 0 when it is not known. */
  task(label: string, totalBytes: number): ProgressTask {
    const line: Line = {
      label,
      totalBytes,
      startedMs: performance.now(),
      doneBytes: 0,
    };
    this.#lines.add(line);
    return {
      grow: (bytes) => {
        line.totalBytes += bytes;
      },
      advance: (bytes) => {
        line.doneBytes += bytes;
      },
      finish: () => {
        this.#lines.delete(line);
      },
    };
  }

  /** Prints lines: of the result, or warnings. The block gives way to them; else it would take them along. */
  print(text: string, to: "stdout" | "stderr" = "stdout"): void {
    this.#draw?.clear();
    if (to === "stdout") console.log(text);
    else console.error(text);
    if (!this.#over) this.#redraw();
  }

  #redraw(): void {
    if (this.#draw === null) return;
    const now = performance.now();
    const { columns, rows } = Deno.consoleSize();
    const lines = [...this.#lines].slice(0, Math.max(1, rows - 2))
      .map((line) => draw(line, now).slice(0, columns - 1));
    this.#draw(lines.join("\n"));
  }

  /** Takes the block away. */
  [Symbol.dispose](): void {
    this.#over = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#draw?.clear();
    this.#draw?.done();
    this.#draw = null;
  }
}
