/**
 * `deno task bench:waste`: what is fetched ahead of readers, and whether that was right.
 *
 * - Cold starts of Python with numpy, scipy and pandas, and of Java, over 100 Mbit/s and 5 ms: seconds
 *   until they have ended, compressed bytes fetched, those read ahead, and those of them that nobody has read.
 * - All files of a cold image, one after another, on the loopback: seconds, and bytes a second.
 *
 * The argument is the number of rounds (3 when not given); each begins with a new daemon and empty
 * folders. A second argument, `python`, `java` or `sequential`, runs only that part.
 * @module
 */
import { buildIndex, LazyHost, sociDeno } from "../e2e/host.ts";
import type { DaemonStatus } from "../../cmd/daemon_status.ts";
import { ctrRun, startDockerRegistry } from "../support/host/mod.ts";
import { pushImage } from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { coldStartImage } from "./coldstart/images.ts";
import { WORKLOADS } from "./coldstart/workloads.ts";
import { saveResults } from "./results.ts";
import { median, printMachine, printTable, timed } from "./support.ts";

const LINE = { bitsPerSecond: 100e6, delayMs: 2.5 };
const NAMES = ["python", "java"] as const;
const SEQUENTIAL = [
  ...["/bin/sh", "-c"],
  "find / -xdev -type f -exec cat {} + > /dev/null",
];

interface Figures {
  readonly ms: number;
  readonly fetched: DaemonStatus["fetched"];
}

/** Pulls, runs one command from a cold cache, and asks the daemon what it fetched. */
async function cold(image: string, args: readonly string[]): Promise<Figures> {
  await using host = await LazyHost.start();
  await host.pull(image);
  const { ms, value } = await timed(() =>
    ctrRun(host.containerd, {
      ...{ image, snapshotter: "soci", args, id: "waste" },
      timeoutMs: 300_000,
    })
  );
  if (value.code !== 0) throw new Error(value.stderr);
  if (Deno.env.has("TRACE")) {
    console.log(await Deno.readTextFile(`${host.folder}/daemon.log`));
  }
  const answer = await sociDeno("status", "--json", "--root", host.root);
  return { ms, fetched: (JSON.parse(answer.stdout) as DaemonStatus).fetched };
}

printMachine();
const rounds = Number(Deno.args[0] ?? 3);
await using registry = await startDockerRegistry();
for (const name of NAMES) {
  await pushImage(registry.host, `bench/${name}:1`, await coldStartImage(name));
  await buildIndex("--min-layer-size", "0", `${registry.host}/bench/${name}:1`);
}
await using link = await throttle(registry.host, LINE);
const started = (name: typeof NAMES[number]) =>
  cold(`${link.host}/bench/${name}:1`, WORKLOADS[name].measured.args);
const parts = {
  python: () => started("python"),
  java: () => started("java"),
  sequential: () => cold(`${registry.host}/bench/python:1`, SEQUENTIAL),
};
const found: Record<string, Figures[]> = {};
for (let round = 0; round < rounds; round++) {
  for (const [name, part] of Object.entries(parts)) {
    if ((Deno.args[1] ?? name) === name) {
      (found[name] ??= []).push(await part());
    }
  }
}
const row = (name: string, all: readonly Figures[]) => {
  const mb = (of: (fetched: Figures["fetched"]) => number) =>
    median(all.map(({ fetched }) => of(fetched) / 1e6));
  const whole = mb((f) => f.demandBytes + f.prefetchBytes);
  const unread = mb((f) => f.unreadAheadBytes);
  return [
    name,
    (median(all.map(({ ms }) => ms)) / 1000).toFixed(2),
    `${Math.min(...all.map(({ ms }) => Math.round(ms)))}–${
      Math.max(...all.map(({ ms }) => Math.round(ms)))
    }`,
    whole.toFixed(1),
    mb((f) => f.prefetchBytes).toFixed(1),
    unread.toFixed(1),
    (100 * unread / whole).toFixed(1),
    median(all.map(({ fetched }) => fetched.requests)).toFixed(0),
  ];
};
printTable(
  `Fetched ahead, medians of ${rounds}`,
  ["", "s", "ms", "MB", "MB ahead", "MB never read", "%", "requests"],
  Object.entries(found).map(([name, all]) => row(name, all)),
);
console.log(`\nsaved: ${saveResults("waste", { rounds, found })}`);
Deno.exit(0); // Workers of the slow line
