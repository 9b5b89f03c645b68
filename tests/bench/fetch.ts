/**
 * `deno task bench:fetch`: what a GB of ranges costs a command, by its own network, through the fetch Worker, and as
 * commands have it (hosts that give content are asked by the command's own isolate), from a server on this machine in a
 * process of its own; and over TLS, by HTTP/2 and by HTTP/1.1, from docker-registry. CPU is the client's process alone;
 * they take turns.
 * @module
 */
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { parseReference } from "../../lib/formats/reference/mod.ts";
import {
  FetchedNetwork,
  NearNetwork,
  type Network,
  ownNetwork,
} from "../../lib/remote/network/mod.ts";
import { RegistryClient } from "../../lib/remote/registry/mod.ts";
import {
  makeCertificateAuthority,
  startDockerRegistry,
} from "../support/host/mod.ts";
import { incompressible } from "../support/images/mod.ts";

const [role = "all", host = "", caPath] = Deno.args;
const ROUNDS = 7;
const RANGE_BYTES = 4 * 2 ** 20;
const RANGES = 128;
const BLOB_BYTES = RANGE_BYTES * 16;
/** Ranges at a time. */
const SIDE_BY_SIDE = 4;

function serve(): void {
  const bytes = new Uint8Array(BLOB_BYTES);
  Deno.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    onListen: ({ port }) => console.log(port),
  }, (request) => {
    const [, first, last] = /(\d+)-(\d+)/.exec(request.headers.get("range")!)!;
    const part = bytes.subarray(Number(first), Number(last) + 1);
    return new Response(part, {
      status: 206,
      headers: { "content-range": `bytes ${first}-${last}/${BLOB_BYTES}` },
    });
  });
}

function networkOf(way: string): Network {
  const far = () => new FetchedNetwork({ images: [], places: [host] });
  switch (way) {
    case "own":
    case "tls, HTTP/2":
    case "tls, HTTP/1.1":
      return ownNetwork();
    case "worker":
      return far();
    default:
      return new NearNetwork(far(), ownNetwork(), () => true);
  }
}

/** Reads the ranges, after one that warms everything up. Prints CPU ms a GB. */
async function read(way: string): Promise<void> {
  const client = new RegistryClient({
    network: networkOf(way),
    ...(caPath !== undefined && overTls(caPath)),
  });
  const isBulk = way !== "tls, HTTP/2";
  const from = parseReference(`${host}/a/b:1`);
  const digest = sha256(blob());
  const range = async (i: number, into: Uint8Array) => {
    const start = (i * RANGE_BYTES) % BLOB_BYTES;
    await client.range(
      ...[from, digest, start, start + RANGE_BYTES, into] as const,
      ...[undefined, undefined, { isBulk }] as const,
    );
  };
  await range(0, new Uint8Array(RANGE_BYTES));
  const before = cpuMs();
  await Promise.all(
    Array.from({ length: SIDE_BY_SIDE }, async (_, lane) => {
      const into = new Uint8Array(RANGE_BYTES);
      for (let i = lane; i < RANGES; i += SIDE_BY_SIDE) await range(i, into);
    }),
  );
  console.log((cpuMs() - before) * 1e9 / (RANGES * RANGE_BYTES));
  Deno.exit();
}

function blob(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(incompressible(BLOB_BYTES));
}

function overTls(caPath: string) {
  return { caCerts: [Deno.readTextFileSync(caPath)], plainHttp: false };
}

/** Of all threads of this process. */
function cpuMs(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1]!
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function start(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--quiet", "--unstable-worker-options"],
      "--v8-flags=--max-semi-space-size=2,--expose-gc",
      ...[import.meta.filename!, ...args],
    ],
    stdout: "piped",
  }).spawn();
}

async function all(): Promise<void> {
  const server = start("serve");
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const plain = [`127.0.0.1:${(await reader.read()).value!.trim()}`];
  await using authority = await makeCertificateAuthority();
  await using registry = await startDockerRegistry({
    tls: await authority.issue(["127.0.0.1"]),
  });
  using client = new RegistryClient(overTls(authority.certPath));
  const bytes = blob();
  await client.pushBlob(
    parseReference(`${registry.host}/a/b:1`),
    { digest: sha256(bytes), size: bytes.length },
    bytes,
  );
  const secret = [registry.host, authority.certPath];
  const ways = {
    ...{ own: plain, worker: plain, near: plain },
    ...{ "tls, HTTP/2": secret, "tls, HTTP/1.1": secret },
  };
  const found = new Map<string, number[]>(
    Object.keys(ways).map((way) => [way, []]),
  );
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, args] of Object.entries(ways)) {
      const { stdout } = await start(way, ...args).output();
      found.get(way)!.push(Number(new TextDecoder().decode(stdout)));
    }
  }
  server.kill();
  await reader.cancel();
  for (const [way, times] of found) {
    times.sort((a, b) => a - b);
    console.log(
      `${way}: ${Math.round(times[ROUNDS >> 1]!)} ms CPU a GB (${
        times.map(Math.round).join(", ")
      })`,
    );
  }
}

if (role === "serve") serve();
else if (role === "all") await all();
else await read(role);
