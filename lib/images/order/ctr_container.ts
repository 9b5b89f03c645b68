import type { LogWatch, ReadySign } from "./until.ts";

/** How long a container that was killed may take to be gone, ms. */
const END_MS = 10_000;

/** A container run by containerd's own client. */
export interface CtrRun {
  /** As containerd names it. */
  readonly image: string;
  /** `ctr`, and the flags that say where containerd is. */
  readonly ctr: readonly string[];
  readonly snapshotter: string;
  /** Further flags of `ctr run`. */
  readonly flags: readonly string[];
  /** Empty: the image's own. */
  readonly command: readonly string[];
}

/** A container that runs until it ends or is disposed of; then it is removed. */
export class CtrContainer implements AsyncDisposable {
  readonly #ctr: readonly string[];
  readonly #id: string;
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<unknown>;
  /** Resolves when it has ended well; rejects when it failed. */
  readonly ended: Promise<ReadySign>;

  private constructor(run: CtrRun, log: LogWatch) {
    this.#ctr = run.ctr;
    this.#id = `soci-deno-record-${crypto.randomUUID().slice(0, 8)}`;
    const args = [
      ...["run", "--rm", "--snapshotter", run.snapshotter],
      ...[...run.flags, run.image, this.#id, ...run.command],
    ];
    this.#child = this.#start(args, "piped");
    const errors: string[] = [];
    this.#read = Promise.all([
      log.read(this.#child.stdout, (piece) => write(Deno.stdout, piece)),
      log.read(this.#child.stderr, (piece) => {
        write(Deno.stderr, piece);
        errors.push(new TextDecoder().decode(piece));
        if (errors.length > 20) errors.shift();
      }),
    ]);
    this.#read.catch(() => {}); // its process ended
    this.ended = this.#child.status.then(({ success, code }) => {
      if (success) return "the container has ended";
      throw new Error(
        `the container failed (${code}): ${errors.join("").trim().slice(-400)}`,
      );
    });
    this.ended.catch(() => {}); // reported where it is awaited
  }

  /** Starts it. @throws Error when there is no `ctr` */
  static start(run: CtrRun, log: LogWatch): CtrContainer {
    return new CtrContainer(run, log);
  }

  #start(args: readonly string[], output: "piped" | "null") {
    const [program, ...leading] = this.#ctr;
    try {
      return new Deno.Command(program!, {
        args: [...leading, ...args],
        stdin: "null",
        stdout: output,
        stderr: output,
      }).spawn();
    } catch (cause) {
      throw new Error(
        `${program} cannot be run: install containerd's client, or start the workload yourself with --no-run`,
        { cause },
      );
    }
  }

  /** Kills it, if it runs, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    const gone = this.#child.status;
    let isGone = false;
    gone.then(() => isGone = true);
    await new Promise((resolve) => setTimeout(resolve, 0)); // it may be known already
    for (let waitedMs = 0; !isGone && waitedMs < END_MS; waitedMs += 250) {
      await this.#start(
        ["tasks", "kill", "--signal", "SIGKILL", this.#id],
        "null",
      )
        .status;
      await Promise.race([
        gone,
        new Promise((resolve) => setTimeout(resolve, 250)),
      ]);
    }
    if (!isGone) this.#child.kill("SIGKILL");
    await this.#read.catch(() => {});
  }
}

function write(to: typeof Deno.stdout, bytes: Uint8Array): void {
  to.writeSync(bytes);
}
