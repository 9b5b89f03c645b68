/** The status of a daemon as text. @module */
import { formatBytes } from "../command.ts";
import type { DaemonStatus } from "../daemon_status.ts";
import { policyText } from "../policy_text.ts";
import { aligned, imageTable } from "./images.ts";

/** The whole status as text: images with their layers first, then the daemon's own figures. */
export function describe(status: DaemonStatus): string {
  return [
    ...imageTable(status).map(({ text }) => text),
    "",
    ...figures(status),
    ...describeOrders(status.orders ?? []),
  ].join("\n");
}

function figures(status: DaemonStatus): string[] {
  const { cache, face, fetched } = status;
  const budget = cache.maxBytes === null
    ? "no budget"
    : `of ${formatBytes(cache.maxBytes)}`;
  return [
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
    ...(status.policies ?? []).map((decision) => [
      "policy",
      `${decision.image}: ${policyText(decision)}`,
    ]),
    ...(status.damages ?? []).map(({ path, found, then }) => [
      "damage",
      `${path}: ${found}; ${then}`,
    ]),
  ].map(([name, text]) => `${`${name}:`.padEnd(13)}${text}`);
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

/** Whole minutes, hours or days. */
export function formatUptime(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
