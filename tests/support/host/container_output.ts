/**
 * What a container prints, past `ctr`.
 *
 * As soon as a container has ended, ctr 1.6 closes its ends of the container's FIFOs, with what it has not read yet
 * (containerd/containerd#8643): a line is lost, and the exit code is 0. So the container's shim gives the output to a
 * logger of ours, which writes it into files; before ctr ends, the shim has waited for the logger.
 * @module
 */
import { pause } from "./service.ts";

/**
 * containerd's logging binary: the container's stdout is descriptor 3, its stderr 4, and to close 5 says that it is
 * ready. The shim sends SIGTERM first, and then waits: what is still in the pipes is read all the same.
 */
const LOGGER = `#!/bin/sh
trap '' TERM
exec 5>&-
cat <&3 >"$1/stdout" 3<&- 4<&- &
cat <&4 >"$1/stderr" 3<&- 4<&- &
wait
`;
/** How often files that grow are looked at. */
const LOOK_MS = 10;

/** What was printed so far. */
export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** The output of one container. */
export class ContainerOutput implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param folder where a folder of its own may be made */
  static async create(folder: string): Promise<ContainerOutput> {
    const own = await Deno.makeTempDir({ dir: folder, prefix: "output-" });
    await Deno.writeTextFile(`${own}/logger`, LOGGER);
    await Deno.chmod(`${own}/logger`, 0o755);
    return new ContainerOutput(own);
  }

  /** For `ctr run`. */
  get flags(): readonly string[] {
    return ["--log-uri", `binary://${this.#folder}/logger?${this.#folder}`];
  }

  /** Nothing of a container that was not started. */
  async printed(): Promise<Printed> {
    const read = (name: string) =>
      Deno.readTextFile(`${this.#folder}/${name}`).catch((error) => {
        if (error instanceof Deno.errors.NotFound) return "";
        throw error;
      });
    return { stdout: await read("stdout"), stderr: await read("stderr") };
  }

  /** Calls `tell` with all of stdout each time it has grown, until `ended` is settled. */
  async follow(
    tell: (stdout: string) => void,
    ended: Promise<unknown>,
  ): Promise<void> {
    let told = "";
    let over = false;
    ended.catch(() => {}).finally(() => over = true);
    for (let last = false; !last;) {
      last = over;
      const { stdout } = await this.printed();
      if (stdout !== told) tell(told = stdout);
      if (!last) await Promise.race([pause(LOOK_MS), ended.catch(() => {})]);
    }
  }

  /** It may have gone with containerd's folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Deno.remove(this.#folder, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
