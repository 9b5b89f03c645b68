/** The rate is measured over at least so long, ms, so that one lucky piece does not count. */
const WINDOW_MS = 200;
/** And over at least so many bytes: of a few, waits for answers are most of the time, and not the line. */
const WINDOW_BYTES = 8 * 2 ** 20;
/** Hosts that are remembered; image names determine them. */
const MOST_HOSTS = 256;

interface Host {
  bytesPerMs: number;
  active: number;
  sinceMs: number;
  bytes: number;
}

/** How fast layers that were taken whole came from their hosts. */
export class LineSpeeds {
  readonly #hosts = new Map<string, Host>();

  /** A layer begins to come. @returns to be told of its bytes, and disposed of when no more come. */
  begin(
    name: string,
    now = () => performance.now(),
  ): Disposable & { came(bytes: number): void } {
    if (this.#hosts.size >= MOST_HOSTS && !this.#hosts.has(name)) {
      this.#hosts.clear();
    }
    const host = this.#hosts.getOrInsertComputed(
      name,
      () => ({ bytesPerMs: 0, active: 0, sinceMs: 0, bytes: 0 }),
    );
    if (host.active++ === 0) restart(host, now());
    return {
      came: (bytes) => {
        host.bytes += bytes;
        learn(host, now());
      },
      [Symbol.dispose]: () => {
        host.active--;
      },
    };
  }

  /** A host's throughput over all its layers, compressed bytes a ms; 0 while unknown. */
  bytesPerMs(name: string): number {
    return this.#hosts.get(name)?.bytesPerMs ?? 0;
  }
}

function restart(host: Host, nowMs: number): void {
  host.sinceMs = nowMs;
  host.bytes = 0;
}

function learn(host: Host, nowMs: number): void {
  const elapsedMs = nowMs - host.sinceMs;
  if (elapsedMs < WINDOW_MS || host.bytes < WINDOW_BYTES) return;
  const rate = host.bytes / elapsedMs;
  host.bytesPerMs = host.bytesPerMs === 0 ? rate : (host.bytesPerMs + rate) / 2;
  restart(host, nowMs);
}
