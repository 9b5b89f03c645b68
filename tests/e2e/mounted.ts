/** `soci-deno mount` as a process, for the tests. @module */
import assert from "node:assert/strict";
import type { FaceWish } from "../../lib/layers/faces/mod.ts";
import {
  leftovers,
  pause,
  run,
  type Service,
  sociDenoCommand,
  startService,
} from "../support/host/mod.ts";

/** A mount of an image in a folder of its own. */
export class Mounted implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly process: Service,
  ) {}

  get directory(): string {
    return `${this.folder}/image`;
  }

  static async start(
    image: string,
    face: FaceWish = "auto",
    env: Readonly<Record<string, string>> = {},
  ): Promise<Mounted> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-mount-" });
    await Deno.mkdir(`${folder}/image`);
    let service: Service | undefined;
    const process = service = await startService({
      ...sociDenoCommand(
        ...["mount", "--no-background", "--root", `${folder}/root`],
        ...["--log-level", "debug", "--face", face, image, `${folder}/image`],
      ),
      env,
      logFile: `${folder}/log`,
      ready: () => service === undefined || service.logs().includes(" is at "),
    });
    for (let tries = 0; !process.logs().includes(" is at "); tries++) {
      assert.ok(tries < 100, process.logs());
      await pause(100);
    }
    return new Mounted(folder, process);
  }

  /** Waits until the process has ended by itself. */
  async ended(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      if (this.process.logs().includes("unmounted; fetched")) return;
      await pause(100);
    }
    assert.fail(this.process.logs());
  }

  /** Takes away what a killed process left. */
  async detach(): Promise<void> {
    for (const path of leftovers(this.folder).mounts) {
      await run("umount", ["-l", path], { timeoutMs: 10_000 });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.close();
    assert.deepEqual(leftovers(this.folder), {
      mounts: [],
      processes: [],
      sockets: [],
    });
    await Deno.remove(this.folder, { recursive: true });
  }
}
