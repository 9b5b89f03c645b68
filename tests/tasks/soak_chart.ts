/** Line charts over time, one below the other, as SVG. @module */

const WIDTH = 720;
const PANEL = 110;
const LEFT = 110;
const PLOT = 70;

/** Draws each series in a panel of its own, from zero; marks are vertical lines through all. */
export function lineCharts(chart: {
  readonly title: string;
  /** Seconds. */
  readonly x: readonly number[];
  readonly marks: readonly number[];
  readonly series: readonly {
    readonly name: string;
    readonly values: readonly number[];
  }[];
}): string {
  const { title, x, marks, series } = chart;
  const end = Math.max(...x, 1);
  const toX = (seconds: number) => LEFT + seconds / end * (WIDTH - LEFT - 20);
  const panels = series.map(({ name, values }, number) => {
    const top = 50 + number * PANEL;
    const most = Math.max(...values, 1);
    const toY = (value: number) => top + PLOT - value / most * PLOT;
    const points = values.map((value, at) =>
      `${toX(x[at]!).toFixed(1)},${toY(value).toFixed(1)}`
    ).join(" ");
    const lines = marks.map((at) =>
      `<line x1="${toX(at)}" x2="${toX(at)}" y1="${top}" y2="${
        top + PLOT
      }" stroke="#bbb" stroke-dasharray="3"/>`
    ).join("");
    return `${lines}<text x="10" y="${top + PLOT / 2}">${name}</text>` +
      `<text x="${LEFT - 8}" y="${top + 10}" text-anchor="end">${most}</text>` +
      `<text x="${LEFT - 8}" y="${top + PLOT}" text-anchor="end">0</text>` +
      `<path d="M${LEFT} ${top}V${top + PLOT}H${
        WIDTH - 20
      }" fill="none" stroke="#888"/>` +
      `<polyline points="${points}" fill="none" stroke="#1668a8" stroke-width="1.5"/>`;
  });
  const height = 60 + series.length * PANEL;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="#fff"/><text x="10" y="24" font-size="15">${title}</text>` +
    `${panels.join("")}<text x="${WIDTH - 20}" y="${
      height - 8
    }" text-anchor="end">${Math.round(end)} s</text></svg>\n`;
}
