import type { Recording } from "../../formats/order/mod.ts";
import type { OrderSummary } from "./summary.ts";

const WIDTH = 1200;
const LEFT = 360;
const ROW = 14;
const TOP = 64;
/** Files that get a row of their own: those with the most bytes. The rest share one. */
const MAX_ROWS = 60;
const REST = "(all other files)";

/**
 * A drawing of a recording: a row a file, in order of first touch; a mark where a range was touched, as
 * wide as its reader waited.
 */
export function timelineSvg(
  recording: Recording,
  summary: OrderSummary,
): string {
  const { fileOf } = summary;
  const rows = new Map<string, number>();
  const largest = new Set(
    summary.files.toSorted((a, b) => b.bytes - a.bytes).slice(0, MAX_ROWS)
      .map(({ path, layer }) => `${layer} ${path}`),
  );
  for (const { path, layer } of summary.files) {
    const key = `${layer} ${path}`;
    if (largest.has(key)) rows.set(key, rows.size);
  }
  const rest = rows.size;
  const height = TOP + (rest + 1) * ROW + 24;
  const span = Math.max(1, summary.ms);
  const x = (ms: number) => LEFT + ms / span * (WIDTH - LEFT - 20);
  const marks = recording.touches.map(
    ({ layer, offset, length, ms, waitedMs }) => {
      const key = `${recording.layers[layer]} ${fileOf(layer, offset)}`;
      const y = TOP + (rows.get(key) ?? rest) * ROW + 2;
      const from = x(ms);
      const width = Math.max(1.5, x(Math.min(span, ms + waitedMs)) - from);
      const fill = waitedMs > 0 ? "#c2410c" : "#2563eb";
      return `<rect x="${n(from)}" y="${y}" width="${n(width)}" height="${
        ROW - 4
      }" fill="${fill}"><title>${
        escape(fileOf(layer, offset) || "no known file")
      }: ${length} bytes at ${offset}, ${n(ms)} ms${
        waitedMs > 0 ? `, waited ${n(waitedMs)} ms` : ""
      }</title></rect>`;
    },
  );
  const labels = [...rows].map(([key, row]) => {
    const path = key.slice(key.indexOf(" ") + 1) || "(no known file)";
    return label(path, row);
  });
  const ticks = Array.from({ length: 6 }, (_, i) => {
    const ms = span * i / 5;
    return `<text x="${n(x(ms))}" y="${TOP - 8}" text-anchor="middle">${
      Math.round(ms)
    } ms</text><line x1="${n(x(ms))}" x2="${n(x(ms))}" y1="${TOP}" y2="${
      height - 20
    }" stroke="#e2e8f0"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="10">
<rect width="100%" height="100%" fill="white"/>
<text x="12" y="20" font-size="14">${
    escape(`${recording.image} (${recording.workload})`)
  }</text>
<text x="12" y="38">${summary.files.length} files, ${summary.ranges} ranges, ${
    (summary.bytes / 1e6).toFixed(1)
  } MB; <tspan fill="#2563eb">here</tspan>, <tspan fill="#c2410c">waited (${summary.waits})</tspan></text>
${ticks.join("\n")}
${labels.join("\n")}
${label(REST, rest)}
${marks.join("\n")}
</svg>
`;
}

function label(path: string, row: number): string {
  const shown = path.length > 58 ? `…${path.slice(-57)}` : path;
  return `<text x="${LEFT - 8}" y="${
    TOP + row * ROW + ROW - 4
  }" text-anchor="end">${escape(shown)}</text>`;
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
