/** An attacker whose code got into an inflate Worker, beside all that the real one has loaded. @module */
/// <reference lib="deno.worker" />
import * as os from "../../../../lib/host/os/mod.ts";
import "../../../../lib/layers/spans/inflate_worker.ts";
import type { InflateRequest } from "../../../../lib/layers/spans/inflate_messages.ts";

/** What it is told. */
export interface Target {
  /** A file of its own, which is open. */
  readonly fd: number;
  /** A file that is not open. */
  readonly path: string;
  readonly address: { readonly hostname: string; readonly port: number };
}

const { onmessage: inflate } = self;

/** What gets done, when the real one is loaded and when it has answered its first message. */
export interface Got {
  readonly load: readonly string[];
  readonly message: readonly string[];
}

self.onmessage = async ({ data }: MessageEvent<Target>) => {
  const load = await attack(data);
  const part = { fd: data.fd, offset: 0, size: 1 };
  const request: InflateRequest = { kind: "sum", id: 1, part };
  inflate?.call(self, new MessageEvent("message", { data: request }));
  const got: Got = { load, message: await attack(data) };
  self.postMessage(got);
};

async function attack({ fd, path, address }: Target): Promise<string[]> {
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
  return done;
}
