/**
 * `soci-deno status`: what the running daemon serves and holds.
 * @module
 */
import { askStatus } from "../lib/host/control/mod.ts";
import { type Command, formatBytes, parseCommandLine } from "./command.ts";
import { UsageError } from "./command.ts";
import type { DaemonStatus } from "./daemon_status.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";

const HELP = `
Show what the running daemon serves: its layers and how much of each is here, its cache, what was
fetched for whom, and what load orders brought, by image and workload.

Usage: soci-deno status [flags]

Flags:
  --root DIR   the daemon's root (default ${DEFAULT_ROOT}; also SOCI_SNAPSHOTTER_ROOT)
  --json       the whole answer as JSON

Exit code 1 when no daemon runs there.
`;

/** The `status` subcommand. */
export const statusCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        root: { type: "string" },
        json: { type: "boolean", default: false },
      },
    });
    if (positionals.length > 0) {
      throw new UsageError(`status takes no argument "${positionals[0]}"`);
    }
    const root = daemonRoot(values.root);
    const answer = await askStatus(`${root}/control.sock`);
    if (answer === null) {
      console.error(`soci-deno status: no daemon runs on ${root}`);
      return 1;
    }
    const status = answer as DaemonStatus;
    console.log(
      values.json ? JSON.stringify(status, null, 2) : describe(status),
    );
    return 0;
  },
};

function describe(status: DaemonStatus): string {
  const { cache, face, fetched, layers } = status;
  const budget = cache.maxBytes === null
    ? "no budget"
    : `of ${formatBytes(cache.maxBytes)}`;
  const head = [
    ["process", `${status.pid}, up ${formatUptime(status.upSeconds)}`],
    ["version", status.version],
    ["address", status.address],
    ["indexes of", describeTrust(status.trust)],
    ["shown by", `${face.face} (${face.reason})`],
    [
      "memory",
      `${formatBytes(status.residentBytes)} resident, ${
        formatBytes(status.heap.usedBytes)
      } of it JavaScript objects`,
    ],
    [
      "cache",
      cache.broken === null
        ? `${formatBytes(cache.bytes)}, ${budget}`
        : `not used, its disk is broken: ${cache.broken}`,
    ],
    ["idle caches", `${cache.idleLayers}, ${formatBytes(cache.idleBytes)}`],
    [
      "fetched",
      `${formatBytes(fetched.demandBytes)} on demand, ${
        formatBytes(fetched.prefetchBytes)
      } ahead (${
        formatBytes(fetched.unreadAheadBytes ?? 0)
      } of it not read yet), ${
        formatBytes(fetched.backgroundBytes)
      } in the background, in ${fetched.requests} requests`,
    ],
    ...describePacks(status.packs),
    ...(status.damages ?? []).map(({ path, found, then }) => [
      "damage",
      `${path}: ${found}; ${then}`,
    ]),
  ].map(([name, text]) => `${`${name}:`.padEnd(13)}${text}`);
  head.push(...describeOrders(status.orders ?? []));
  if (layers.length === 0) return [...head, "no layer is served"].join("\n");
  const rows = [
    ["SLOT", "LAYER", "SIZE", "FILES", "SPANS HERE", "HERE", "TAKEN"],
    ...layers.map((layer) => [
      String(layer.slot),
      layer.digest.slice(0, 19),
      formatBytes(layer.sizeBytes),
      String(layer.inodes),
      `${layer.cachedSpans}/${layer.spans}`,
      `${
        layer.dataBytes === 0
          ? 100
          : Math.floor(100 * layer.cachedBytes / layer.dataBytes)
      } %`,
      layer.whole ? "whole" : "lazily",
    ]),
  ];
  return [...head, "", ...aligned(rows, [1])].join("\n");
}

/** Columns of one width; numbers stand on the right, those of `texts` on the left. */
function aligned(
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

/** What load orders brought, by image and workload. An older daemon does not say. */
function describeOrders(orders: DaemonStatus["orders"]): string[] {
  if (orders.length === 0) return [];
  const rows = orders.flatMap(
    ({ image, workload, order, lied, pack, spans }) => {
      const row = (by: string, ...bytes: number[]) => [
        ...[image, workload, by, ...bytes.map(formatBytes)],
      ];
      const { broughtBytes, hitBytes, lateBytes, wastedBytes } = pack;
      const rows =
        broughtBytes === 0 && (order === null || spans.broughtBytes > 0)
          ? []
          : [
            row(
              lied ? "pack that lied" : "pack",
              ...[broughtBytes, hitBytes, lateBytes, wastedBytes],
            ),
          ];
      if (spans.broughtBytes > 0) {
        const { broughtBytes, hitBytes, wastedBytes } = spans;
        const by = order === null ? "spans, learned here" : "spans";
        rows.push(row(by, broughtBytes, hitBytes, 0, wastedBytes));
      }
      return rows;
    },
  );
  return [
    "",
    ...aligned(
      [
        [
          ...["LOAD ORDER OF", "WORKLOAD", "BY"],
          ...["BROUGHT", "READ", "WAITED FOR", "NOT READ"],
        ],
        ...rows,
      ],
      [0, 1, 2],
    ),
  ];
}

/** Nothing where no pack brought anything. An older daemon does not say. */
function describePacks(packs: DaemonStatus["packs"] | undefined): string[][] {
  if (packs === undefined || packs.arrivedBytes === 0) return [];
  const { arrivedBytes, readBytes, lateReads, lied } = packs;
  const lies = lied === 0 ? "" : `; ${lied} layers had a pack that lied`;
  return [[
    "start packs",
    `${formatBytes(arrivedBytes)} here ahead, ${
      formatBytes(readBytes)
    } of it read, ${lateReads} reads waited for it${lies}`,
  ]];
}

function describeTrust({ v1, v2 }: DaemonStatus["trust"]): string {
  const of = (patterns: readonly string[]) =>
    patterns.length === 0 ? "nobody" : patterns.join(", ");
  return `v2: ${of(v2)}; v1: ${of(v1)}`;
}

function formatUptime(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
