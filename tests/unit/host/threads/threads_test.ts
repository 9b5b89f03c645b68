import assert from "node:assert/strict";
import { openThread, serveThreads } from "../../../../lib/host/threads/mod.ts";
import { mostThreads } from "../../../../lib/host/threads/serve.ts";
import type { Errand } from "./asker.ts";

function startEcho(): Worker {
  return new Worker(new URL("./echo.ts", import.meta.url), {
    type: "module",
    deno: { permissions: "none" },
  });
}

/** What a Worker hears of a thread that this isolate starts for it; and whether that was stopped. */
async function ask(name: string, says: string, given?: string) {
  const asker = new Worker(new URL("./asker.ts", import.meta.url), {
    type: "module",
  });
  const { port1, port2 } = new MessageChannel();
  const echoes: Worker[] = [];
  const givens: (string | null)[] = [];
  let stops = 0;
  serveThreads(port1, {
    echo: (given) => {
      givens.push(given);
      const echo = startEcho();
      echoes.push(echo);
      const terminate = echo.terminate.bind(echo);
      echo.terminate = () => {
        terminate();
        stops++;
      };
      return Promise.resolve(echo);
    },
  });
  const heard: string[] = [];
  const done = Promise.withResolvers<void>();
  asker.onmessage = ({ data }) => {
    heard.push(data);
    if (/^(?:broken|stopped)/.test(data)) done.resolve();
  };
  const errand: Errand = {
    ...{ port: port2, name, says },
    ...(given !== undefined && { given }),
  };
  asker.postMessage(errand, [port2]);
  await done.promise;
  return {
    ...{ heard, givens, stops },
    [Symbol.dispose]() {
      asker.terminate();
      for (const echo of echoes) echo.terminate();
      port1.close();
    },
  };
}

Deno.test("a Worker speaks with a thread that another isolate started for it, and stops it", async () => {
  using asked = await ask("echo", "hear");
  assert.deepEqual(asked.heard, ["here", "hear hear", "stopped"]);
  assert.deepEqual(asked.givens, [null]);
  assert.equal(asked.stops, 1);
});

Deno.test("nothing is started that is not on the list", async () => {
  for (const name of ["no-such", "constructor"]) {
    using asked = await ask(name, "hear");
    assert.deepEqual(asked.heard, [`broken: no thread "${name}"`]);
  }
});

Deno.test("what is asked for beside the name goes to whoever starts the thread", async () => {
  using asked = await ask("echo", "hear", "/a/path");
  assert.deepEqual(asked.givens, ["/a/path"]);
});

Deno.test("whoever wants a thread is told that it died", async () => {
  using asked = await ask("echo", "boom");
  assert.match(asked.heard.at(-1)!, /^broken: .*boom/);
});

Deno.test("where no isolate starts threads for this one, it starts them itself", async () => {
  const heard = Promise.withResolvers<string>();
  const message = (text: string) => text !== "here" && heard.resolve(text);
  using thread = openThread<string, string>(
    { name: "echo", start: startEcho },
    {
      message,
      broken: heard.reject,
    },
  );
  thread.post("here");
  assert.equal(await heard.promise, "here here");
});

/** Starts so many threads at the other end of a port. @returns what is said of those that were not started. */
async function startMany(count: number): Promise<string[]> {
  const { port1, port2 } = new MessageChannel();
  const refused: string[] = [];
  const answered = Promise.withResolvers<void>();
  let started = 0;
  const seen = () => started + refused.length === count && answered.resolve();
  serveThreads(port1, {
    none: () => {
      started++;
      seen();
      return Promise.resolve({ attend: () => {}, [Symbol.dispose]() {} });
    },
  });
  port2.onmessage = ({ data }) => {
    refused.push(data.why);
    seen();
  };
  for (let id = 0; id < count; id++) {
    const { port1: near, port2: far } = new MessageChannel();
    near.close();
    const start = { kind: "start", id, name: "none", given: null, port: far };
    port2.postMessage(start, [far]);
  }
  await answered.promise;
  port1.close();
  port2.close();
  return refused;
}

Deno.test("a machine of any number of cores has a thread for each of them beside all others, and no number without end", async () => {
  const { hardwareConcurrency } = navigator;
  const cores = (value: number) =>
    Object.defineProperty(navigator, "hardwareConcurrency", {
      ...{ value, configurable: true },
    });
  try {
    for (const many of [1, 96, 256]) {
      cores(many);
      assert.deepEqual(await startMany(many + 40), []);
      const most = mostThreads(many);
      assert.deepEqual(await startMany(most + 1), [
        `more than ${most} threads`,
      ]);
    }
  } finally {
    cores(hardwareConcurrency);
  }
});
