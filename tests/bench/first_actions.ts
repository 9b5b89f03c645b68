/**
 * What a command costs until its first useful action: the first request that reaches containerd or a registry, or its
 * end where it asks nobody. Part of `deno task bench:startup`.
 * @module
 */
import type { Containerd } from "../support/host/mod.ts";

/** What is started. */
export interface CommandLine {
  readonly program: string;
  readonly args: readonly string[];
}

/** What was measured, in ms. */
export interface Cost {
  readonly cpu: number;
  readonly wall: number;
}

/** Where a command's first request goes. */
export type Peer = "containerd" | "registry";

/** Each command that asks somebody, and whom it asks first. `IMAGE` and `SOCKET` stand for what the bench has. */
export const ASKING: readonly {
  readonly peer: Peer;
  readonly words: readonly string[];
}[] = [
  ...[
    ["index", "list"],
    ["index", "remove", "--ref", "IMAGE"],
    ["ztoc", "list"],
    ["prefetch", "list"],
    ["rebuild-db"],
    ["push", "IMAGE"],
    ["convert", "IMAGE", "IMAGE-soci"],
    ["content", "fetch", "--plain-http", "IMAGE"],
  ].map((words) => ({
    peer: "containerd" as const,
    words: [...words, "--address", "SOCKET"],
  })),
  {
    peer: "containerd",
    words: ["soci", "--address", "SOCKET", "create", "IMAGE"],
  },
  ...[
    ["inspect", "--plain-http", "IMAGE"],
    ["pull", "--plain-http", "--address", "SOCKET", "IMAGE"],
    ["copy", "--plain-http", "IMAGE", "IMAGE-copy"],
    ["build-index", "--plain-http", "IMAGE"],
    ["order", "list", "--plain-http", "IMAGE"],
    ["order", "remove", "--plain-http", "IMAGE", `sha256:${"0".repeat(64)}`],
    ["mount", "--plain-http", "IMAGE", "ROOT/mountpoint"],
  ].map((words) => ({ peer: "registry" as const, words })),
];

/** CPU ms of a process's living threads and its children's: what the scheduler counts, finer than its ticks. */
function cpuOf(pid: number): number {
  let ns = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const text = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`);
    ns += Number(text.split(" ")[0]);
  }
  return ns / 1e6;
}

/** Starts a command and measures it until `asked` resolves. */
async function until(
  { program, args }: CommandLine,
  asked: Promise<void>,
): Promise<Cost> {
  const started = performance.now();
  const child = new Deno.Command(program, {
    ...{ args: [...args], stdin: "null", stdout: "null", stderr: "piped" },
  }).spawn();
  const ended = child.status.then(({ code }) => ({ code }));
  const first = await Promise.race([asked.then(() => null), ended]);
  if (first !== null) {
    const said = await new Response(child.stderr).text();
    throw new Error(`${args.join(" ")}: asked nobody (${first.code}): ${said}`);
  }
  const cost = { cpu: cpuOf(child.pid), wall: performance.now() - started };
  child.kill("SIGKILL");
  await Promise.all([ended, child.stderr.cancel()]);
  return cost;
}

/** Measures until a registry of ours gets the first bytes of a request. */
export async function toRegistry(
  commandOf: (image: string) => CommandLine,
): Promise<Cost> {
  using registry = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const asked = async () => {
    using connection = await registry.accept();
    await connection.read(new Uint8Array(1));
  };
  return await until(commandOf(`127.0.0.1:${registry.addr.port}/a:1`), asked());
}

/** Measures until containerd gets the headers of a call, which pass through a socket of ours. */
export async function toContainerd(
  commandOf: (socket: string) => CommandLine,
  containerd: Containerd,
): Promise<Cost> {
  const path = `${containerd.folder}/tap-${crypto.randomUUID()}.sock`;
  const tap = Deno.listen({ transport: "unix", path });
  const asked = Promise.withResolvers<void>();
  const attend = async () => {
    for await (const connection of tap) {
      const there = await Deno.connect({
        ...{ transport: "unix", path: containerd.address },
      });
      const back = there.readable.pipeTo(connection.writable);
      const on = connection.readable.pipeThrough(untilHeaders(asked.resolve))
        .pipeTo(there.writable);
      Promise.all([back, on]).catch(() => {}); // the command is killed
    }
  };
  attend().catch(asked.reject);
  try {
    return await until(commandOf(path), asked.promise);
  } finally {
    tap.close();
    await Deno.remove(path).catch(() => {});
  }
}

const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const HEADERS = 1;

/** Passes HTTP/2 on, and tells when the first call's headers pass. */
function untilHeaders(
  tell: () => void,
): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let seen = new Uint8Array(0);
  const found = () => {
    for (let at = PREFACE_BYTES; at + FRAME_HEADER_BYTES <= seen.length;) {
      if (seen[at + 3] === HEADERS) return true;
      at += FRAME_HEADER_BYTES +
        (seen[at]! << 16 | seen[at + 1]! << 8 | seen[at + 2]!);
    }
    return false;
  };
  return new TransformStream({
    transform(piece, controller) {
      seen = Uint8Array.from([...seen, ...piece]);
      controller.enqueue(piece);
      if (found()) tell();
    },
  });
}
