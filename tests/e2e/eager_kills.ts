/** A daemon that is killed at random moments of pulls that take images whole. @module */
import {
  ctrRun,
  leftovers,
  pause,
  sociDenoCommand,
} from "../support/host/mod.ts";
import {
  checkedImage,
  checkedLayer,
  CHECKER,
  type CheckReport,
  incompressible,
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  readCheckReport,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { LazyHost } from "./host.ts";

/** What {@linkcode eagerKills} found. */
export interface EagerKills {
  /** How many kills came in which phase of the pull. */
  readonly histogram: Readonly<Record<string, number>>;
  /** What the container saw that read through all kills. */
  readonly reader: CheckReport;
  /** Everything that should not be; empty when all held. */
  readonly violations: readonly string[];
}

const CONFIG = `
[pull_modes.parallel_pull_unpack]
enable = true
discard_unpacked_layers = true
max_concurrent_downloads_per_image = 4
concurrent_download_chunk_size = "256kb"
max_concurrent_unpacks_per_image = 2
`;
/** So long the last phase may be under way before the kill, ms. */
const LAST_MS = 100;
/** In the order of a pull. */
const PHASES = [
  "1 nothing here yet",
  "2 first layers on their way, none shown",
  "3 some layers shown, others on their way",
  "4 some layers shown, none on its way",
  "5 all layers here",
] as const;

/** All layers are here, and the pull may not know yet. */
export const LAST_PHASE = PHASES[4];

/** An image of its own for each round, so that nothing of it is here yet. */
function imageOf(round: number) {
  const script = new TarBuilder().dir("app").file("app/check.py", CHECKER);
  return makeImage({
    layers: [
      ...programImage().layers.slice(0, 3),
      checkedLayer({ seed: 1000 * (round + 1), large: 20, small: 60 }),
      ...Array.from({ length: 6 }, (_, i) =>
        layerBlob(
          new TarBuilder().file(
            `data-${i}`,
            incompressible(400_000 + i, 100 * round + i),
          ),
        )),
      layerBlob(script),
    ],
    config: { env: ["PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"] },
  });
}

const namesIn = (path: string) => {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name);
  } catch {
    return [];
  }
};

/** Where a pull stands whose daemon has just been killed. @param before layers of other images. */
function phaseOf(
  root: string,
  before: number,
  layers: number,
): typeof PHASES[number] {
  const here = namesIn(`${root}/layers`).length - before;
  const onTheirWay = namesIn(`${root}/ingest`).length;
  if (here >= layers && onTheirWay === 0) return PHASES[4];
  if (here > 0) return onTheirWay > 0 ? PHASES[2] : PHASES[3];
  return onTheirWay > 0 ? PHASES[1] : PHASES[0];
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Kills the daemon so many times, each in a pull of its own, while a container reads another image. */
export async function eagerKills(
  count: number,
  onKill: (done: number) => void = () => {},
): Promise<EagerKills> {
  await using registry = startRegistry();
  const violations: string[] = [];
  const histogram: Record<string, number> = Object.fromEntries(
    PHASES.map((phase) => [phase, 0]),
  );
  await using host = await LazyHost.start({ config: CONFIG });
  const steady = `${registry.host}/steady:1`;
  await pushImage(registry.host, "steady:1", checkedImage());
  const pullMs = await timeOf(() => host.pull(steady));
  const shared = new Set(checkedImage().layers.map(({ digest }) => digest));
  const container = ctrRun(host.containerd, {
    image: steady,
    id: `steady-${crypto.randomUUID()}`,
    snapshotter: "soci",
    args: ["/usr/bin/python3", "/app/check.py", "", "100000"],
    timeoutMs: 60_000 + count * 60_000,
  });
  const before = namesIn(`${host.root}/layers`).length;
  for (let round = 0; round < count; round++) {
    const name = `round-${round}:1`;
    const content = imageOf(round);
    await pushImage(registry.host, name, content);
    const image = `${registry.host}/${name}`;
    const { program, args } = sociDenoCommand(
      ...["pull", "--address", host.containerd.address],
      ...["--root", host.root, image],
    );
    // Those that the other image has, too, are in the same folders.
    const own = content.layers.filter(({ digest }) => !shared.has(digest));
    const phaseNow = () => phaseOf(host.root, before, own.length);
    const asked = registry.requests.length;
    const child = new Deno.Command(program, {
      args,
      stdout: "null",
      stderr: "null",
    }).spawn();
    while (registry.requests.length === asked) await pause(5); // the client has started
    if (round % PHASES.length === 1) {
      // A short one, which the dice seldom find.
      const isOver = child.status.then(() => true);
      while (phaseNow() !== PHASES[4]) {
        if (await Promise.race([isOver, pause(1)])) break;
      }
      await pause(Math.random() * LAST_MS);
    } else await pause(Math.random() * pullMs);
    await host.killDaemon();
    histogram[phaseNow()]!++;
    await child.status;
    await host.startDaemon();
    await host.reconnected();
    if (namesIn(`${host.root}/ingest`).length > 0) {
      violations.push(`round ${round}: half a layer stays`);
    }
    const { layers } = await host.pull(image);
    if (layers.some(({ outcome }) => outcome === "unpacked")) {
      violations.push(`round ${round}: ${JSON.stringify(layers)}`);
    }

    const { stdout, stderr } = await ctrRun(host.containerd, {
      image,
      id: `round-${crypto.randomUUID()}`,
      snapshotter: "soci",
      args: ["/usr/bin/python3", "/app/check.py", "", "0.5"],
    });
    const { wrong, errors, operations } = readCheckReport(stdout || stderr);
    if (wrong.length + errors.length > 0 || operations === 0) {
      violations.push(`round ${round}: ${[...wrong, ...errors].join(" ")}`);
    }
    await host.containerd.ctr("images", "rm", "--sync", image);

    onKill(round + 1);
  }
  const tasks = await host.containerd.ctr("tasks", "ls", "-q");
  for (const task of tasks.trim().split("\n").filter((id) => id !== "")) {
    await host.containerd.tryCtr(["tasks", "kill", "-s", "SIGTERM", task]);
  }
  const { stdout, stderr } = await container;
  const reader = readCheckReport(stdout || stderr);
  await host.removeImages(steady);
  for (let tries = 0; namesIn(`${host.root}/layers`).length > 0; tries++) {
    if (tries > 100) {
      violations.push(`left: ${namesIn(`${host.root}/layers`)}`);
      break;
    }
    await pause(100);
  }
  const mounts = () => leftovers(`${host.root}/fs/e`).mounts;
  for (let tries = 0; mounts().length > 0; tries++) {
    if (tries > 100) {
      violations.push(`mounts: ${mounts().join(" ")}`);
      break;
    }
    await pause(100);
  }
  return { histogram, reader, violations };
}
