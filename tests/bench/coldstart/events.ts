/** What containerd did and when, by its own events. @module */
import type { Containerd } from "../../support/host/mod.ts";

/** One event, as `ctr events` prints it. */
export interface HostEvent {
  /** Milliseconds since 1970, with fractions. */
  readonly at: number;
  /** Such as `/snapshot/prepare`. */
  readonly topic: string;
  readonly text: string;
}

const LINE = /^(\S+) (\S+?)(\.\d+)? \+0000 UTC (\S+) (\S+) (.*)$/;

/** Notes the events of a containerd until it is stopped. */
export class EventLog implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #text: Promise<string>;

  constructor(containerd: Containerd) {
    this.#child = new Deno.Command("ctr", {
      args: ["--address", containerd.address, "events"],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#text = new Response(this.#child.stdout).text();
  }

  /** Ends and gives what was noted. */
  async stop(): Promise<HostEvent[]> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // ended with its containerd
    }
    await this.#child.status;
    return (await this.#text).split("\n").flatMap((line) => {
      const [, day, time, fraction = "", , topic, text] = LINE.exec(line) ?? [];
      if (topic === undefined) return [];
      const at = Date.parse(`${day}T${time}Z`) + Number(`0${fraction}`) * 1000;
      return [{ at, topic, text: text! }];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
