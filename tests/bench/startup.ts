/**
 * `deno task bench:startup`: how much CPU time commands take until their first useful action, from sources, from the
 * bundle and compiled; and of the daemon the CPU time to its first answer and its memory when it is idle.
 *
 * No network: the registry that is asked is this task's own, and says nothing; containerd is real. Compiled for `DENORT_BIN`, else for
 * the runtime of `deno task compiled`. The daemon's helper process counts with it.
 * @module
 */
import { bundle } from "../../tools/binary/bundle.ts";
import { compileProduct } from "../support/compiled/product.ts";
import { testRuntime } from "../support/compiled/runtime.ts";
import {
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import {
  ASKING,
  type Cost,
  toContainerd,
  toRegistry,
} from "./first_actions.ts";
import {
  type Containerd,
  pause,
  type Service,
  sociDenoCommand,
  startContainerd,
  startService,
  unixSocketAnswers,
} from "../support/host/mod.ts";

const RUNS = Number(Deno.args[0] ?? 9);
const IDLE_MS = 20_000;

/** A way of starting the program. */
interface Way {
  readonly name: string;
  command(...args: string[]): { program: string; args: string[] };
}

/** Runs a command several times and prints median CPU ms and the largest resident KiB. */
const MEASURE = `
import os, resource, statistics, sys
times, sizes = [], []
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2): os.dup2(null, fd)
        os.execvp(sys.argv[2], sys.argv[2:])
    usage = os.wait4(pid, 0)[2]
    times.append((usage.ru_utime + usage.ru_stime) * 1000)
    sizes.append(usage.ru_maxrss)
print(statistics.median(times), statistics.median(sizes))
`;

async function measure(
  { program, args }: { program: string; args: string[] },
): Promise<{ ms: number; mb: number }> {
  const { stdout } = await new Deno.Command("python3", {
    args: ["-c", MEASURE, String(RUNS), program, ...args],
  }).output();
  const [ms = NaN, kib = NaN] = new TextDecoder().decode(stdout).trim()
    .split(" ").map(Number);
  return { ms: Math.round(ms), mb: Math.round(kib * 1024 / 1e6) };
}

/** The process and its children. */
function family(pid: number): number[] {
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
  return [pid, ...children.trim().split(" ").filter(Boolean).map(Number)];
}

function cpuMs(pid: number): number {
  const ticks = (one: number) => {
    const fields = Deno.readTextFileSync(`/proc/${one}/stat`)
      .split(") ")[1]!.split(" ");
    return Number(fields[11]) + Number(fields[12]);
  };
  return family(pid).reduce((sum, one) => sum + ticks(one), 0) * 10;
}

function memoryMb(pid: number, name: RegExp): number {
  let kib = 0;
  for (const one of family(pid)) {
    const rollup = Deno.readTextFileSync(`/proc/${one}/smaps_rollup`);
    for (const [, kind = "", value] of rollup.matchAll(/^(\w+): +(\d+) kB/gm)) {
      if (name.test(kind)) kib += Number(value);
    }
  }
  return Math.round(kib * 1024 / 1e6);
}

/** Medians of CPU ms and ms until a command's first request. */
async function toFirstRequest(
  way: Way,
  { peer, words }: typeof ASKING[number],
  containerd: Containerd,
): Promise<string> {
  const root = containerd.folder;
  const line = (names: Readonly<Record<string, string>>) =>
    way.command(
      ...words.map((word) =>
        word.replace(/IMAGE|SOCKET|ROOT/, (name) => names[name]!)
      ),
    );
  const found: Cost[] = [];
  for (let run = 0; run < RUNS; run++) {
    const SOCKET = containerd.address;
    found.push(
      peer === "registry"
        ? await toRegistry((IMAGE) => line({ IMAGE, SOCKET, ROOT: root }))
        : await toContainerd(
          (SOCKET) => line({ IMAGE: "localhost:1/a:1", SOCKET, ROOT: root }),
          containerd,
        ),
    );
  }
  const middle = (of: keyof Cost) =>
    Math.round(median(found.map((one) => one[of])));
  return `${middle("cpu")} / ${middle("wall")}`;
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!;

/** Calls a daemon while it starts. @returns its CPU ms when the call is answered. */
async function toAnswer(way: Way, root: string): Promise<Started> {
  const socket = `${root}/s`;
  const service = await startService({
    ...way.command("serve", "--address", socket, "--root", `${root}/root`),
    logFile: `${root}/log`,
    ready: () => unixSocketAnswers(socket),
  });
  using channel = new RpcChannel({ socketPath: socket, namespace: "bench" });
  await new SnapshotsClient(channel, "soci").has("none");
  return { service, cpu: cpuMs(service.pid) };
}

interface Started {
  readonly service: Service;
  readonly cpu: number;
}

async function daemon(way: Way, folder: string): Promise<string> {
  const first: number[] = [];
  const later: number[] = [];
  let memory = "";
  for (let run = 0; run < RUNS; run++) {
    const root = await Deno.makeTempDir({ dir: folder });
    for (const times of [first, later]) {
      const { service, cpu } = await toAnswer(way, root);
      times.push(cpu);
      if (run === RUNS - 1 && times === later) {
        await pause(IDLE_MS);
        memory = [/^Rss$/, /^Private_Dirty$/, /^Private_Clean$/]
          .map((name) => memoryMb(service.pid, name)).join(" | ");
      }
      await service.close("SIGINT");
    }
  }
  return `${median(first)} / ${median(later)} | ${memory}`;
}

const folder = await Deno.makeTempDir({ prefix: "soci-deno-startup-" });
try {
  const runtime = await testRuntime();
  await bundle(`${folder}/bundle`);
  await compileProduct(runtime, `${folder}/soci-deno`, `${folder}/inside`);
  const ways: readonly Way[] = [
    { name: "sources", command: sociDenoCommand },
    {
      name: "bundle",
      command: (...args) => ({ program: `${folder}/bundle/soci-deno`, args }),
    },
    {
      name: `compiled (${runtime.name})`,
      command: (...args) => ({ program: `${folder}/soci-deno`, args }),
    },
  ];
  const commands = [
    ["--version"],
    ["config", "default"],
    ["status", "--root", `${folder}/none`],
    ["serve", "--help"],
    ["completion", "bash"],
    ["licences"],
    ["install", "--dry-run"],
    ["gc", "--root", `${folder}/none`],
    ["pull", "--address", `${folder}/none`, "localhost:1/a:1"],
    ["index", "list", "--root", `${folder}/store`, "--content-store", "soci"],
  ];
  const { size } = await Deno.stat(`${folder}/soci-deno`);
  console.log(`${(size / 1e6).toFixed(1)} MB compiled; ${RUNS} runs each\n`);
  console.log("CPU ms / resident MB | " + ways.map((w) => w.name).join(" | "));
  for (const args of commands) {
    const cells = [];
    for (const way of ways) {
      const { ms, mb } = await measure(way.command(...args));
      cells.push(`${ms} / ${mb}`);
    }
    const name = args.filter((one) => !/[/:]/.test(one)).join(" ");
    console.log(`${name} | ${cells.join(" | ")}`);
  }
  console.log("\nto the first request: CPU ms / ms");
  {
    await using containerd = await startContainerd();
    await Deno.mkdir(`${containerd.folder}/mountpoint`);
    for (const asking of ASKING) {
      const cells = [];
      for (const way of ways) {
        cells.push(await toFirstRequest(way, asking, containerd));
      }
      const name = asking.words.filter((one) => !/^[-A-Z]|:/.test(one));
      console.log(`${name.join(" ")} | ${asking.peer} | ${cells.join(" | ")}`);
    }
  }
  console.log(
    "\nserve | CPU ms to the first answer, of the first start after a boot / of a later one | resident MB | private MB | of the program's file, nobody else's",
  );
  for (const way of ways) {
    console.log(`${way.name} | ${await daemon(way, folder)}`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
