/**
 * `deno task bench:start`: time from the beginning of a pull to the first line a container prints,
 * for one real image: pulled in full onto overlayfs, served by soci-deno, and served by the existing
 * SOCI daemon, from the same registry and with the same index. The registry is warm, the client
 * cold: each measure begins with new daemons and empty folders, up for two seconds. Background
 * fetching is off in both lazy daemons, so what is counted is what the program needed.
 *
 * `deno task bench:start 5` does five rounds on the loopback (3 when not said); the slow line is
 * measured once.
 * @module
 */
import {
  type CertificateAuthority,
  type Containerd,
  ctrPull,
  type DockerRegistry,
  leftovers,
  makeCertificateAuthority,
  pause,
  type Service,
  sociDenoCommand,
  startContainerd,
  startDockerRegistry,
  startService,
} from "../support/host/mod.ts";
import { pushImage } from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import {
  nameLoopback,
  type SociPeer,
  sociPeer,
  startSociPeer,
} from "../support/peer/mod.ts";
import { benchImage } from "./image.ts";
import { chart } from "./chart.ts";
import { saveResults } from "./results.ts";
import {
  median,
  printMachine,
  printTable,
  residentMb,
  run,
} from "./support.ts";

const NAME = "bench.soci-deno.test";
const REPOSITORY = "bench/python";
const SLOW = { bitsPerSecond: 100e6, delayMs: 2.5 };
const DAEMON_CONFIG = `[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`;
/** What daemons do when they have just come up is not measured, ms. */
const SETTLE_MS = 2000;
const PEER_CONTENT = "/var/lib/soci-snapshotter-grpc/content";
const PEER_CONFIG = `[background_fetch]
disable = true
`;

interface Started {
  /** Milliseconds of pulling, and of running until the first output. */
  readonly pullMs: number;
  readonly runMs: number;
  /** Resident memory of the lazy daemon afterwards, MB; null where there is none. */
  readonly rssMb: number | null;
}

/** What every way needs to know. */
interface Setting {
  readonly image: string;
  readonly authority: CertificateAuthority;
  readonly peer: SociPeer | null;
}

const sociDeno = (...args: string[]) => sociDenoCommand(...args).args;

/** Milliseconds until the container has printed its first line. @throws Error */
async function firstOutput(
  containerd: Containerd,
  image: string,
  snapshotter: string,
): Promise<number> {
  const start = performance.now();
  const child = new Deno.Command("timeout", {
    args: [
      ...["120", "ctr", "--address", containerd.address, "run", "--rm"],
      ...["--snapshotter", snapshotter, image, "bench"],
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const ms = performance.now() - start;
  reader.releaseLock();
  await child.stdout.cancel();
  const text = new TextDecoder().decode(value);
  const errors = await new Response(child.stderr).text();
  await child.status;
  if (!text.startsWith("ready")) throw new Error(`${text}${errors}`);
  return ms;
}

async function timedPull(pull: () => Promise<unknown>): Promise<number> {
  await pause(SETTLE_MS);
  const start = performance.now();
  await pull();
  return performance.now() - start;
}

async function startOverlay({ image, authority }: Setting): Promise<Started> {
  await using containerd = await startContainerd();
  const pullMs = await timedPull(() =>
    ctrPull(containerd, image, { caPath: authority.certPath })
  );
  const runMs = await firstOutput(containerd, image, "overlayfs");
  return { pullMs, runMs, rssMb: null };
}

async function startOurs({ image, authority }: Setting): Promise<Started> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-bench-" });
  try {
    const address = `${folder}/soci.sock`;
    await Deno.writeTextFile(`${folder}/config.toml`, DAEMON_CONFIG);
    let daemon: Service;
    await using service = daemon = await startService({
      program: Deno.execPath(),
      args: sociDeno(
        ...["serve", "--address", address, "--root", `${folder}/root`],
        ...["--config", `${folder}/config.toml`],
        ...["--tlscacert", authority.certPath],
      ),
      stopSignal: "SIGINT", // unmounts
      logFile: `${folder}/log`,
      ready: () => daemon === undefined || daemon.logs().includes("serving"),
    });
    void service;
    await using containerd = await startContainerd({
      proxySnapshotters: [{ name: "soci", address }],
    });
    const pullMs = await timedPull(() =>
      run(
        Deno.execPath(),
        sociDeno(
          ...["pull", "--address", containerd.address],
          ...["--tlscacert", authority.certPath, "--quiet", image],
        ),
      )
    );
    const runMs = await firstOutput(containerd, image, "soci");
    return { pullMs, runMs, rssMb: residentMb(daemon.pid) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function startPeer(
  { image, authority, peer }: Setting,
): Promise<Started> {
  // Its artifacts lie in one place whatever its --root is; kept, they would make this run warm.
  await Deno.remove(PEER_CONTENT, { recursive: true }).catch(() => {});
  await using daemon = await startSociPeer(peer as SociPeer, {
    caFile: authority.certPath,
    config: PEER_CONFIG,
  });
  await using containerd = await startContainerd({
    proxySnapshotters: [{ name: "soci", address: daemon.address }],
  });
  const pullMs = await timedPull(() =>
    daemon.soci(containerd, "image", "rpull", image)
  );
  const runMs = await firstOutput(containerd, image, "soci");
  const process = leftovers(daemon.folder).processes
    .find(({ command }) => command.includes("soci-snapshotter-grpc"));
  return {
    pullMs,
    runMs,
    rssMb: process === undefined ? null : residentMb(process.pid),
  };
}

const WAYS = [
  ["overlayfs, full pull", startOverlay],
  ["soci-deno", startOurs],
  ["SOCI 0.4.1", startPeer],
] as const;

/** Payload the registry has sent so far, from its access log. */
function sentBytes(registry: DockerRegistry): number {
  let sum = 0;
  for (
    const [, bytes] of registry.logs().matchAll(/"GET [^"]*" \d{3} (\d+) /g)
  ) sum += Number(bytes);
  return sum;
}

async function measure(
  label: string,
  rounds: number,
  setting: Setting,
  registry: DockerRegistry,
): Promise<string[][]> {
  const ways = WAYS.filter(([, way]) =>
    way !== startPeer || setting.peer !== null
  );
  const results = new Map<string, { started: Started; bytes: number }[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of ways) {
      const before = sentBytes(registry);
      const started = await way(setting);
      const bytes = sentBytes(registry) - before;
      results.set(name, [...results.get(name) ?? [], { started, bytes }]);
    }
  }
  const total = ({ started }: { started: Started }) =>
    started.pullMs + started.runMs;
  const middle = (name: string) => median((results.get(name) ?? []).map(total));
  const seconds = (ms: number) => (ms / 1000).toFixed(2);
  return ways.map(([name]) => {
    const all = results.get(name) ?? [];
    const rss = all.flatMap(({ started: { rssMb } }) => rssMb ?? []);
    return [
      `${label}: ${name}`,
      seconds(middle(name)),
      seconds(median(all.map(({ started }) => started.pullMs))),
      seconds(median(all.map(({ started }) => started.runMs))),
      (median(all.map(({ bytes }) => bytes)) / 1e6).toFixed(1),
      rss.length > 0 ? median(rss).toFixed(0) : "",
      (middle(name) / middle("soci-deno")).toFixed(2),
    ];
  });
}

async function main(): Promise<void> {
  printMachine();
  const rounds = Number(Deno.args[0] ?? 3);
  const image = await benchImage();
  const bytes = image.layers.reduce(
    (sum, layer) => sum + layer.bytes.length,
    0,
  );
  const found = await sociPeer();
  const peer = "soci" in found ? found : null;
  if (peer === null) console.log("the existing SOCI tools are not to be had");
  await using authority = await makeCertificateAuthority();
  using _name = nameLoopback(NAME);
  await using registry = await startDockerRegistry({
    tls: await authority.issue(["127.0.0.1", NAME]),
  });
  await pushImage(registry.host, `${REPOSITORY}:1`, image, {
    scheme: "https",
    caCerts: [authority.certPem],
  });
  const near = `${NAME}:${registry.port}/${REPOSITORY}:1`;
  await run(
    Deno.execPath(),
    sociDeno(
      ...["build-index", "--min-layer-size", "0"],
      ...["--tlscacert", authority.certPath, near],
    ),
  );
  console.log(
    `image: ${image.layers.length} layers, ${(bytes / 1e6).toFixed(0)} MB`,
  );
  await using link = await throttle(registry.host, SLOW);
  const far = `${NAME}:${link.host.split(":")[1]}/${REPOSITORY}:1`;
  const setting = { authority, peer };
  const rows = [
    ...await measure("loopback", rounds, { ...setting, image: near }, registry),
    ...await measure("slow", 1, { ...setting, image: far }, registry),
  ];
  printTable(
    `Time to first output, seconds (slow: 100 Mbit/s, 5 ms)`,
    [
      "link: way",
      "total",
      "pull",
      "run",
      "MB fetched",
      "daemon RSS MB",
      "times soci-deno",
    ],
    rows,
  );
  const saved = saveResults("start", { rounds, rows });
  await Deno.writeTextFile(
    saved.replace(/json$/, "svg"),
    chart({
      title: "From pull to the first output of a Python program",
      unit: "seconds",
      groups: rows.map(([way]) => way ?? ""),
      series: [
        { name: "total", values: rows.map(([, total]) => Number(total)) },
        { name: "of it pull", values: rows.map(([, , pull]) => Number(pull)) },
      ],
    }),
  );
  console.log(`\nsaved: ${saved} and a chart beside it`);
}

await main();
Deno.exit(0); // Workers of the slow line
