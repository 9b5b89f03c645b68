/** An attacker whose code got into an inflate Worker, beside all that the real one has loaded. @module */
/// <reference lib="deno.worker" />
import * as os from "../../../../lib/host/os/mod.ts";
import "../../../../lib/layers/spans/inflate_worker.ts";

/** What it is told. */
export interface Target {
  /** A file of its own, which is open. */
  readonly fd: number;
  /** A file that is not open. */
  readonly path: string;
  readonly address: { readonly hostname: string; readonly port: number };
}

self.onmessage = async ({ data }: MessageEvent<Target>) => {
  const { fd, path, address } = data;
  const attempts: Readonly<Record<string, () => unknown>> = {
    "read an open file": () => os.preadFully(fd, new Uint8Array(1), 0),
    "open a file by libc": () => os.closeFd(os.openFd(path, os.O.RDONLY)),
    "open a file": () => Deno.openSync(path).close(),
    "make a folder by libc": () => os.makeFolder(`${path}.folder`, 0o700),
    "write on another thread": async () => {
      if (!await os.writeElsewhere(fd, new Uint8Array(1))) throw new Error();
    },
    "load libc": () => Deno.dlopen(os.LIBC_PATH, {}).close(),
    "start a program": () => new Deno.Command("id").outputSync(),
    "read the environment": () => Deno.env.get("HOME"),
    "connect": async () => (await Deno.connect(address)).close(),
    "start a Worker with libc": () =>
      new Worker("data:text/javascript,", {
        type: "module",
        deno: { permissions: { ffi: [os.LIBC_PATH] } },
      }).terminate(),
  };
  const done: string[] = [];
  for (const [what, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      done.push(what);
    } catch {
      // refused, or not there
    }
  }
  self.postMessage(done);
};
