/**
 * Charts of benchmark results as SVG, without a browser: Apache ECharts (Apache-2.0) draws on the
 * server. For benchmarks only; the program does not hold it.
 * @module
 */
import { BarChart, ScatterChart } from "echarts/charts";
import {
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
} from "echarts/components";
import { init, setPlatformAPI, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([
  BarChart,
  ScatterChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
  SVGRenderer,
]);

// Without a browser nobody knows how wide text is. Wide fonts are expected, so that nothing is cut off.
const textWidth = (text: string, size: number) => text.length * size * 0.62;
setPlatformAPI({
  measureText(text, font = "12px") {
    const size = Number(/(\d+)px/.exec(font)?.[1] ?? 12);
    return { width: textWidth(text, size) };
  },
});

/** Bars side by side: a group for each thing measured, a colour for each contender. */
export interface Chart {
  readonly title: string;
  /** What the numbers are, written at the axis. */
  readonly unit: string;
  readonly groups: readonly string[];
  readonly series: readonly Series[];
  /** Where a line is drawn across all groups: 1 for ratios to a peer. */
  readonly line?: number;
  /** The series are parts of one bar a group, not bars of their own. */
  readonly stacked?: boolean;
  /** A value a group, drawn as a line across its bars: a limit. */
  readonly marks?: Series;
}

/** One contender: a value a group; NaN where there is none. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

const WIDTH = 900;
const HEAD_HEIGHT = 110;
const BAR_HEIGHT = 18;
const GROUP_GAP = 14;
const LEGEND_ROW = 22;
/** What a name in the legend takes beside its text, pixels. */
const LEGEND_SYMBOL = 45;
/** Distinct for colour-blind readers (Okabe and Ito). */
const COLOURS = [
  ...["#0072b2", "#e69f00", "#009e73", "#cc79a7"],
  ...["#56b4e9", "#d55e00", "#f0e442", "#999999"],
];

/** Draws horizontal bars, the first group on top. @returns the SVG document. */
export function chart(
  { title, unit, groups, series, line, stacked = false, marks }: Chart,
): string {
  const groupHeight = (stacked ? 1 : series.length) * BAR_HEIGHT;
  const names = [...series, ...marks === undefined ? [] : [marks]];
  const moreHeight = LEGEND_ROW * (legendRows(names) - 1);
  const drawing = init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: HEAD_HEIGHT + moreHeight +
      groups.length * (groupHeight + GROUP_GAP),
  });
  const drawn = (value: number) =>
    Number.isFinite(value) ? Number(value.toPrecision(3)) : null;
  drawing.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    color: COLOURS,
    title: { text: title, left: 12, top: 8, textStyle: { fontSize: 15 } },
    legend: { top: 36, left: 12 },
    grid: {
      left: 12,
      right: 60,
      top: 66 + moreHeight,
      bottom: 28,
      outerBoundsMode: "same",
      outerBoundsContain: "axisLabel",
    },
    xAxis: { type: "value", name: unit, nameLocation: "middle", nameGap: 24 },
    yAxis: {
      type: "category",
      inverse: true,
      data: [...groups],
      axisTick: { show: false },
    },
    series: [
      ...series.map(({ name, values }, i) => ({
        name,
        type: "bar",
        data: values.map((value) => drawn(value)),
        ...(stacked ? { stack: "all" } : {
          label: { show: true, position: "right", fontSize: 11 },
        }),
        ...(line !== undefined && i === 0 && { markLine: across(line) }),
      })),
      ...(marks === undefined ? [] : [{
        name: marks.name,
        type: "scatter",
        data: marks.values.map((value) => drawn(value)),
        symbol: "rect",
        symbolSize: [3, groupHeight],
        itemStyle: { color: "#000000" },
        z: 5,
      }]),
    ],
  });
  try {
    return drawing.renderToSVGString();
  } finally {
    drawing.dispose();
  }
}

/** A dashed line across all groups. */
function across(value: number) {
  return {
    silent: true,
    symbol: "none",
    label: { show: false },
    lineStyle: { color: "#444444", type: "dashed" },
    data: [{ xAxis: value }],
  };
}

/** Rows of names that the legend takes. */
function legendRows(series: readonly Series[]): number {
  let rows = 1;
  let at = 0;
  for (const { name } of series) {
    const width = textWidth(name, 12) + LEGEND_SYMBOL;
    if (at > 0 && at + width > WIDTH) {
      rows++;
      at = 0;
    }
    at += width;
  }
  return rows;
}
