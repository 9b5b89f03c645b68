/** A bound on a process's memory, page cache included, by a control group of version 1 or 2. @module */
import { pause } from "../../support/host/mod.ts";

const V1 = "/sys/fs/cgroup/memory";
const V2 = "/sys/fs/cgroup";

/** One group; its processes are moved out at the end. */
export class MemoryGroup implements AsyncDisposable {
  readonly #v1: boolean;
  readonly #folder: string;

  constructor(maxBytes: number) {
    this.#v1 = exists(`${V1}/memory.limit_in_bytes`);
    this.#folder = `${
      this.#v1 ? V1 : V2
    }/soci-deno-test-${crypto.randomUUID()}`;
    if (!this.#v1) {
      Deno.writeTextFileSync(`${V2}/cgroup.subtree_control`, "+memory");
    }
    Deno.mkdirSync(this.#folder);
    Deno.writeTextFileSync(
      `${this.#folder}/${this.#v1 ? "memory.limit_in_bytes" : "memory.max"}`,
      String(maxBytes),
    );
  }

  /** Starts the program that follows inside the group. */
  get prefix(): readonly string[] {
    const enter = 'echo $$ > "$0/cgroup.procs"; exec "$@"';
    return ["sh", "-c", enter, this.#folder];
  }

  /** How often the bound was met. */
  get hits(): number {
    if (this.#v1) return Number(this.#read("memory.failcnt"));
    return Number(/^max (\d+)/m.exec(this.#read("memory.events"))?.[1] ?? 0);
  }

  /** The most it held, bytes. */
  get peakBytes(): number {
    return Number(
      this.#read(this.#v1 ? "memory.max_usage_in_bytes" : "memory.peak"),
    );
  }

  #read(name: string): string {
    return Deno.readTextFileSync(`${this.#folder}/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 0; tries < 50; tries++) {
      try {
        return Deno.removeSync(this.#folder);
      } catch {
        await pause(100); // its processes are ending
      }
    }
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // the other version
  }
}
