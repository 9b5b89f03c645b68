/** The tables of the report. @module */
import type { Line } from "./lines.ts";
import {
  type Figure,
  FIGURES,
  type Group,
  limitMs,
  middle,
  type Outcome,
  spread,
} from "./outcome.ts";

/** What was measured against what, and what was not. */
export function waysList({ ways }: Outcome): string {
  const items = ways.map(({ title, skipped }) =>
    `<li>${escapeHtml(title)}${
      skipped === null
        ? ""
        : ` <span class="note">(not measured: ${escapeHtml(skipped)})</span>`
    }</li>`
  );
  return `<ul>${items.join("")}</ul>`;
}

/** The images and what their starts need. */
export function imagesTable({ images }: Outcome): string {
  return table(
    [
      ...["image", "layers", "MB", "files read", "MB read"],
      ...["the same, zstd", "least time, s"],
    ],
    images.map((image) => ({
      cells: [
        image.name,
        String(image.layers),
        (image.sizeBytes / 1e6).toFixed(0),
        String(image.neededFiles),
        (image.neededBytes / 1e6).toFixed(1),
        (image.neededPackedBytes / 1e6).toFixed(1),
        (image.floorMs / 1e3).toFixed(2),
      ],
      style: "",
    })),
  );
}

/** What is told of each start beside its time. */
type Column = readonly [
  title: string,
  figure: Figure,
  unit: number,
  digits: number,
];

/** All figures of one line. */
export function figuresTable(
  { images, ways }: Outcome,
  line: Line,
  groups: readonly Group[],
): string {
  const columns = [
    ["from first Prepare, s", FIGURES.sincePrepare, 1e3, 2],
    ["all of an 80 % job, s", FIGURES.job, 1e3, 1],
    ["MB before ready", FIGURES.bytes, 1e6, 1],
    ["MB never read", FIGURES.unread, 1e6, 1],
    ["of it by a pack", FIGURES.unreadPack, 1e6, 1],
    ["reads that waited", FIGURES.waits, 1, 0],
    ["requests", FIGURES.requests, 1, 0],
    ["daemon's CPU, s", FIGURES.cpu, 1e3, 2],
    ["its memory, MB", FIGURES.resident, 1, 0],
  ] satisfies Column[];
  const told = (columns as readonly Column[]).filter(([, figure]) =>
    groups.some((group) => middle(group, figure) !== null)
  );
  return table(
    [
      ...["image", "way", "to ready, s", "least to most", "limit"],
      ...told.map(([title]) => title),
    ],
    groups.map((group, i) => {
      const [least, most] = spread(group, FIGURES.total);
      const image = images.find(({ name }) => name === group.image)!;
      const isFirst = groups[i - 1]?.image !== group.image;
      const way = ways.find(({ name }) => name === group.way);
      return {
        style: `${isFirst ? "first" : ""} ${
          group.way.startsWith("soci-deno") ? "ours" : ""
        }`,
        cells: [
          isFirst ? group.image : "",
          way?.title ?? group.way,
          number(middle(group, FIGURES.total), 1e3, 2),
          `${(least / 1e3).toFixed(2)} to ${(most / 1e3).toFixed(2)}`,
          (limitMs(image, line) / 1e3).toFixed(2),
          ...told.map(([, figure, unit, digits]) =>
            number(middle(group, figure), unit, digits)
          ),
        ],
      };
    }),
    "starts",
  );
}

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function number(value: number | null, unit: number, digits: number): string {
  return value === null ? "" : (value / unit).toFixed(digits);
}

function table(
  columns: readonly string[],
  rows: ReadonlyArray<{ cells: readonly string[]; style: string }>,
  style = "",
): string {
  const head = columns.map((it) => `<th>${escapeHtml(it)}</th>`).join("");
  const body = rows.map(({ cells, style }) =>
    `<tr class="${style.trim()}">${
      cells.map((it) => `<td>${escapeHtml(it)}</td>`).join("")
    }</tr>`
  );
  return `<figure class="${style}"><table><thead><tr>${head}</tr></thead><tbody>${
    body.join("\n")
  }</tbody></table></figure>`;
}
