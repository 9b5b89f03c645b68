import assert from "node:assert/strict";
import type { InflateResult } from "../../../../lib/layers/spans/inflate_messages.ts";
import {
  closeFd,
  LIBC_PATH,
  nameWithCalls,
  O,
  openFd,
} from "../../../../lib/host/os/mod.ts";
import { WORKERS } from "../../../../tools/worker_permissions.ts";
import type { Got, Target } from "./inflate_attacker.ts";

/** What an attacker can do in a Worker of that name. */
async function attack(name: string): Promise<Got> {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "open");
  const fd = openFd(path, O.RDWR);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  const worker = new Worker(new URL("./inflate_attacker.ts", import.meta.url), {
    type: "module",
    name,
    deno: { permissions: { ffi: [LIBC_PATH] } },
  });
  const target: Target = { fd, path, address: { hostname, port } };
  try {
    const { promise, resolve, reject } = Promise.withResolvers<Got>();
    let answered: InflateResult | undefined;
    worker.onmessage = ({ data }) => {
      if (!("load" in data)) answered = data;
      else if (answered?.outcome.kind === "sum") resolve(data);
      else reject(new Error("the first message was not answered"));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    worker.postMessage(target);
    return await promise;
  } finally {
    worker.terminate();
    closeFd(fd);
    await Deno.remove(path);
    await Deno.remove(`${path}.folder`).catch(() => {}); // it may not be there
  }
}

Deno.test("an attacker in an inflate Worker reads and writes files that are open, and has nothing else", async () => {
  const pool = await Deno.readTextFile(
    new URL("../../../../lib/layers/spans/start.ts", import.meta.url),
  );
  const [, calls = ""] = /nameWithCalls\(\[([^\]]*)\]\)/.exec(pool) ?? [];
  const named = [...calls.matchAll(/"(\w+)"/g)].map(([, call]) => call!);
  const { gets } = WORKERS.find(({ worker }) =>
    worker === "lib/layers/spans/inflate_worker.ts"
  )!;
  assert.deepEqual(named, ["pread", "pwrite", "fallocate"]);
  assert.deepEqual(
    await attack(nameWithCalls(["pread", "pwrite", "fallocate"])),
    { load: gets, message: gets },
  );
});

Deno.test("the attacker can do what it tries where a Worker has all of libc", async () => {
  const { load } = await attack("");
  assert.deepEqual(load, [
    ...["read an open file", "open a file by libc", "make a folder by libc"],
    ...["write on another thread", "load libc", "start a Worker with libc"],
  ]);
});
