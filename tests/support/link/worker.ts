/// <reference lib="deno.worker" />
import { COUNTER, type LinkOptions, type LinkReady } from "./messages.ts";

/** How much idle time the line may make up for: timers wake a millisecond or two late. */
const BURST_MS = 4;

/**
 * A token bucket, stored as the time at which the last byte will have left; the next byte waits until
 * then. Pieces are small, so connections share the line fairly.
 */
class Line {
  #freeAtMs = 0;

  constructor(private readonly bitsPerSecond: number) {}

  /** When the last of these bytes has left, in the time of performance.now(). */
  send(bytes: number): number {
    const start = Math.max(performance.now() - BURST_MS, this.#freeAtMs);
    this.#freeAtMs = start + bytes * 8 * 1000 / this.bitsPerSecond;
    return this.#freeAtMs;
  }
}

const PIECE_BYTES = 16 * 1024;
/**
 * The most bytes in flight in one connection: more than rate times delay of any link we imitate.
 */
const WINDOW_BYTES = 1024 * 1024;

/** Timers are accurate to about a millisecond, so anything nearer counts as now. */
function sleepUntil(ms: number): Promise<void> | undefined {
  const wait = ms - performance.now();
  if (wait < 1) return undefined;
  return new Promise((resolve) => setTimeout(resolve, wait));
}

/** Carries bytes in one direction. It reads on while earlier pieces are still delayed. */
async function carry(
  from: Deno.Conn,
  to: Deno.Conn,
  line: Line,
  delayMs: number,
  counter: (bytes: number) => void,
): Promise<void> {
  let underway = 0;
  let broken = false;
  let tail: Promise<void> = Promise.resolve();
  while (true) {
    const buffer = new Uint8Array(PIECE_BYTES);
    const count = await from.read(buffer);
    if (count === null) break;
    const leavesAt = line.send(count);
    const arrivesAt = Math.max(leavesAt, performance.now()) + delayMs;
    underway += count;
    tail = tail.then(async () => {
      await sleepUntil(arrivesAt);
      // First: whoever has received it may ask for the count before this thread goes on.
      counter(count);
      await writeAll(to, buffer.subarray(0, count));
      underway -= count;
    });
    // If the receiver has hung up, send nothing more. The error is reported when `tail` is awaited.
    tail.catch(() => broken = true);
    await sleepUntil(leavesAt);
    if (broken || underway > WINDOW_BYTES) await tail;
  }
  await tail;
  if ("closeWrite" in to) await (to as Deno.TcpConn).closeWrite();
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

async function join(
  client: Deno.TcpConn,
  options: LinkOptions,
  lines: { down: Line; up: Line },
  counters: BigInt64Array,
): Promise<void> {
  const colon = options.target.lastIndexOf(":");
  let target: Deno.TcpConn;
  try {
    target = await Deno.connect({
      hostname: options.target.slice(0, colon),
      port: Number(options.target.slice(colon + 1)),
    });
  } catch {
    client.close(); // nobody listens there: the client sees a closed connection
    return;
  }
  client.setNoDelay(true);
  target.setNoDelay(true);
  const count = (index: number) => (bytes: number) => {
    Atomics.add(counters, index, BigInt(bytes));
  };
  // A direction that breaks ends both, like a reset. A direction that ends normally does not.
  await Promise.all([
    carry(target, client, lines.down, options.delayMs, count(COUNTER.toClient)),
    carry(client, target, lines.up, options.delayMs, count(COUNTER.toTarget)),
  ]).catch(() => {});
  for (const connection of [client, target]) {
    try {
      connection.close();
    } catch {
      // closed by its other end already
    }
  }
}

self.onmessage = async (
  { data }: MessageEvent<{ options: LinkOptions; counters: BigInt64Array }>,
) => {
  const { options, counters } = data;
  const lines = {
    down: new Line(options.bitsPerSecond),
    up: new Line(options.bitsPerSecond),
  };
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const ready: LinkReady = { port: listener.addr.port };
  self.postMessage(ready);
  for await (const client of listener) {
    Atomics.add(counters, COUNTER.connections, 1n);
    join(client, options, lines, counters);
  }
};
