import type { Recording } from "../../formats/order/mod.ts";
import type { OrderSummary } from "./summary.ts";

const WIDTH = 1200;
const LEFT = 420;
const RIGHT = 40;
const ROW = 14;
const TOP = 64;
/** Files that get a row of their own: those with the most bytes. The rest share one. */
const MAX_ROWS = 60;
const REST = "(all other files)";
/** Characters of a path that are shown. */
const PATH_CHARS = 56;
/** The least width of a mark; marks that are nearer than this to each other are one. */
const LEAST = 1.5;
const HERE = "#2563eb";
const WAITED = "#c2410c";

/** Touches of one file at one time, all waited for or none. */
interface Mark {
  readonly row: number;
  readonly path: string;
  readonly waited: boolean;
  readonly fromMs: number;
  untilMs: number;
  ranges: number;
  bytes: number;
}

/**
 * A drawing of a recording: a row a file, in order of first touch; a mark where ranges were touched, as
 * wide as their reader waited.
 */
export function timelineSvg(
  recording: Recording,
  summary: OrderSummary,
): string {
  const rows = rowsOf(summary);
  const spanMs = recording.touches.reduce(
    (end, { ms, waitedMs }) => Math.max(end, ms + waitedMs),
    1,
  );
  const x = (ms: number) => LEFT + ms / spanMs * (WIDTH - LEFT - RIGHT);
  const leastMs = LEAST * spanMs / (WIDTH - LEFT - RIGHT);
  const { marks, bytes } = marksOf(recording, summary, rows, leastMs);
  const count = bytes.length;
  const height = TOP + count * ROW + 20;
  const bottom = height - 16;
  const names = [...rows.keys()].map((key) =>
    key.slice(key.indexOf(" ") + 1) || "(no known file)"
  );
  const lines = bytes.map((touched, row) => {
    const y = TOP + row * ROW;
    return (row % 2 === 0
      ? `<rect width="${WIDTH}" height="${ROW}" y="${y}" fill="#f6f8fa"/>\n`
      : "") + label(names[row] ?? REST, touched, y + ROW - 4);
  });
  const ticks = ticksOf(spanMs).map((ms) => {
    const at = n(x(ms));
    return `<text x="${at}" y="${TOP - 8}" text-anchor="middle">${ms}</text>` +
      `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom}" stroke="#d0d7de"/>`;
  });
  const drawn = marks.map((mark) => {
    const { row, waited, fromMs, untilMs } = mark;
    const from = x(fromMs);
    const width = Math.max(LEAST, x(untilMs) - from);
    return `<rect x="${n(from)}" y="${TOP + row * ROW + 2}" width="${
      n(width)
    }" height="${ROW - 4}" fill="${waited ? WAITED : HERE}"><title>${
      escape(describe(mark))
    }</title></rect>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="10">
<rect width="100%" height="100%" fill="white"/>
<text x="12" y="20" font-size="14">${
    escape(`${recording.image} (${recording.workload})`)
  }</text>
<text x="12" y="38" font-size="11">${summary.files.length} files, ${summary.ranges} ranges, ${
    size(summary.bytes)
  }; <tspan fill="${HERE}">■ bytes that were here</tspan>, <tspan fill="${WAITED}">■ the reader waited, as long as the mark (${summary.waits} times)</tspan></text>
<text x="${LEFT - 8}" y="${TOP - 8}" text-anchor="end">ms since the start</text>
${lines.join("\n")}
${ticks.join("\n")}
${drawn.join("\n")}
</svg>
`;
}

/** The files with rows of their own, in order of first touch. */
function rowsOf({ files }: OrderSummary): Map<string, number> {
  const keyOf = ({ path, layer }: OrderSummary["files"][number]) =>
    `${layer} ${path}`;
  const largest = new Set(
    files.toSorted((a, b) => b.bytes - a.bytes).slice(0, MAX_ROWS).map(keyOf),
  );
  return new Map(
    files.map(keyOf).filter((key) => largest.has(key))
      .map((key, row) => [key, row]),
  );
}

/** What is drawn, and the bytes of each row. @param leastMs nearer ones are drawn as one. */
function marksOf(
  { touches, layers }: Recording,
  { fileOf }: OrderSummary,
  rows: ReadonlyMap<string, number>,
  leastMs: number,
): { marks: readonly Mark[]; bytes: readonly number[] } {
  const rest = rows.size;
  const bytes: number[] = new Array(rest).fill(0);
  const marks: Mark[] = [];
  const last = new Map<number, Mark>();
  for (const { layer, offset, length, ms, waitedMs } of touches) {
    const path = fileOf(layer, offset);
    const row = rows.get(`${layers[layer]} ${path}`) ?? rest;
    bytes[row] = (bytes[row] ?? 0) + length;
    const before = last.get(row);
    if (
      waitedMs === 0 && before?.waited === false &&
      ms >= before.fromMs && ms - before.untilMs < leastMs
    ) {
      before.untilMs = Math.max(before.untilMs, ms);
      before.ranges++;
      before.bytes += length;
      continue;
    }
    const mark = {
      ...{ row, path: row === rest ? REST : path, waited: waitedMs > 0 },
      ...{ fromMs: ms, untilMs: ms + waitedMs, ranges: 1, bytes: length },
    };
    last.set(row, mark);
    marks.push(mark);
  }
  return { marks, bytes };
}

/** Round times, at most ten. */
function ticksOf(spanMs: number): number[] {
  const step = Array.from(
    { length: 20 },
    (_, i) => [1, 2, 5][i % 3]! * 10 ** Math.floor(i / 3),
  ).find((step) => spanMs / step <= 10) ?? spanMs;
  return Array.from(
    { length: Math.floor(spanMs / step) + 1 },
    (_, i) => i * step,
  );
}

function describe(
  { path, ranges, bytes, fromMs, untilMs, waited }: Mark,
): string {
  const what = ranges === 1 ? "one range" : `${ranges} ranges`;
  return `${path || "no known file"}: ${what}, ${bytes} bytes, ${n(fromMs)} ms${
    waited ? `, waited ${n(untilMs - fromMs)} ms` : ""
  }`;
}

function label(path: string, bytes: number, y: number): string {
  const shown = path.length > PATH_CHARS
    ? `…${path.slice(1 - PATH_CHARS)}`
    : path;
  return `<text x="${LEFT - 68}" y="${y}" text-anchor="end">${
    escape(shown)
  }</text><text x="${LEFT - 8}" y="${y}" text-anchor="end" fill="#57606a">${
    size(bytes)
  }</text>`;
}

function size(bytes: number): string {
  return bytes < 1e6
    ? `${(bytes / 1e3).toFixed(1)} kB`
    : `${(bytes / 1e6).toFixed(1)} MB`;
}

function n(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Names come from images: nothing of them may be read as markup. */
function escape(text: string): string {
  return text.replace(
    /[&<>"'\p{Cc}]/gu,
    (c) => /\p{Cc}/u.test(c) ? "\ufffd" : `&#${c.charCodeAt(0)};`,
  );
}
