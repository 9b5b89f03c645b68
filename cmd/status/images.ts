/** The images that a daemon serves, each with its layers below it. @module */
import { formatBytes } from "../command.ts";
import type { DaemonStatus } from "../daemon_status.ts";

type LayerStatus = DaemonStatus["layers"][number];

/** A line of the table. */
export interface ImageLine {
  readonly kind: "head" | "image" | "layer" | "none";
  /** Whether a reader waits for it, or bytes of it are on their way. */
  readonly busy: boolean;
  readonly text: string;
}

const HEAD = [
  ...["IMAGE, LAYER", "SLOT", "FILES", "SIZE"],
  ...["HERE", "", "READ", "TAKEN", "NOW"],
];
/** Columns of text. */
const TEXTS = [0, 7, 8];
const OTHERS = "of no image";
const NO_ROOM = { ztoc: "no room" } as const;

/**
 * The table. Sizes are those of the files: what they take when they are here.
 * @param nameWidth longer names are cut in the middle. Default: none is.
 */
export function imageTable(
  status: DaemonStatus,
  nameWidth = Infinity,
): ImageLine[] {
  if (status.layers.length === 0) {
    return [{ kind: "none", busy: false, text: "no layer is served" }];
  }
  const lines = linesOf(status, nameWidth);
  const texts = aligned(lines.map(({ cells }) => cells), TEXTS);
  return lines.map(({ kind, busy }, at) => ({
    kind,
    busy,
    text: texts[at]!.trimEnd(),
  }));
}

interface Cells extends Omit<ImageLine, "text"> {
  readonly cells: readonly string[];
}

function linesOf(status: DaemonStatus, nameWidth: number): Cells[] {
  const bySlot = new Map(status.layers.map((layer) => [layer.slot, layer]));
  const left = new Set(bySlot.keys());
  const lines: Cells[] = [{ kind: "head", busy: false, cells: HEAD }];
  const add = (name: string, layers: readonly LayerStatus[]) => {
    lines.push(imageCells(shortened(name, nameWidth), layers));
    lines.push(...layers.map(layerCells));
  };
  for (const { name, namespace, slots } of status.images ?? []) {
    const layers = slots.flatMap((slot) => bySlot.get(slot) ?? []);
    for (const { slot } of layers) left.delete(slot);
    add(namespace === "default" ? name : `${name} [${namespace}]`, layers);
  }
  if (left.size > 0) add(OTHERS, [...left].map((slot) => bySlot.get(slot)!));
  return lines;
}

function imageCells(name: string, layers: readonly LayerStatus[]): Cells {
  const sum = (of: (layer: LayerStatus) => number | undefined) =>
    layers.reduce((total, layer) => total + (of(layer) ?? 0), 0);
  const all = {
    dataBytes: sum((layer) => layer.dataBytes),
    cachedBytes: sum((layer) => layer.cachedBytes),
    inodes: sum((layer) => layer.inodes),
    readBytes: sum((layer) => layer.readBytes),
    readers: sum((layer) => layer.readers),
    fetchingBytes: sum((layer) => layer.fetchingBytes),
    ...(layers.some(({ ztoc }) => ztoc === "no room") && NO_ROOM),
  };
  const whole = layers.filter((layer) => layer.whole).length;
  const taken = whole === 0
    ? "lazily"
    : whole === layers.length
    ? "whole"
    : "both ways";
  return { kind: "image", ...cellsOf([name, ""], taken, all) };
}

function layerCells(layer: LayerStatus): Cells {
  const name = `  ${layer.digest.slice(0, 19)}`;
  const taken = layer.whole ? "whole" : "lazily";
  return {
    kind: "layer",
    ...cellsOf([name, String(layer.slot)], taken, layer),
  };
}

function cellsOf(
  named: readonly [name: string, slot: string],
  taken: string,
  of:
    & Pick<LayerStatus, "dataBytes" | "cachedBytes" | "inodes" | "readBytes">
    & {
      readonly readers?: number;
      readonly fetchingBytes?: number;
      readonly ztoc?: LayerStatus["ztoc"];
    },
): Omit<Cells, "kind"> {
  const now = nowOf(of);
  const percent = of.dataBytes === 0
    ? 100
    : Math.floor(100 * of.cachedBytes / of.dataBytes);
  const cells = [
    ...[...named, String(of.inodes), formatBytes(of.dataBytes)],
    ...[formatBytes(of.cachedBytes), `${percent} %`],
    ...[formatBytes(of.readBytes ?? 0), taken, now],
  ];
  return { busy: now !== "", cells };
}

/** An older daemon does not say. */
function nowOf(
  { readers = 0, fetchingBytes = 0, ztoc }: {
    readonly readers?: number;
    readonly fetchingBytes?: number;
    readonly ztoc?: LayerStatus["ztoc"];
  },
): string {
  return [
    ...(readers === 0
      ? []
      : [`${readers} ${readers === 1 ? "read waits" : "reads wait"}`]),
    ...(fetchingBytes === 0
      ? []
      : [`${formatBytes(fetchingBytes)} on the way`]),
    ...(ztoc === "no room" ? ["no room on the disk for a ztoc"] : []),
  ].join(", ");
}

/** A name of at most so many characters: its end, with the tag, says more than its middle. */
function shortened(name: string, width: number): string {
  if (name.length <= width) return name;
  const end = Math.ceil((width - 1) * 2 / 3);
  return `${name.slice(0, Math.max(0, width - 1 - end))}…${name.slice(-end)}`;
}

/** Columns of one width; numbers stand on the right, those of `texts` on the left. */
export function aligned(
  rows: readonly (readonly string[])[],
  texts: readonly number[],
): string[] {
  const widths = rows[0]!.map((_, at) =>
    Math.max(...rows.map((row) => row[at]!.length))
  );
  return rows.map((row) =>
    row.map((cell, at) =>
      texts.includes(at) ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)
    ).join("  ")
  );
}
