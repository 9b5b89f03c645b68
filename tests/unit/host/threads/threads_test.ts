import assert from "node:assert/strict";
import { openThread, serveThreads } from "../../../../lib/host/threads/mod.ts";
import type { Errand } from "./asker.ts";

function startEcho(): Worker {
  return new Worker(new URL("./echo.ts", import.meta.url), {
    type: "module",
    deno: { permissions: "none" },
  });
}

/** What a Worker hears of a thread that this isolate starts for it; and whether that was stopped. */
async function ask(name: string, says: string) {
  const asker = new Worker(new URL("./asker.ts", import.meta.url), {
    type: "module",
  });
  const { port1, port2 } = new MessageChannel();
  const echoes: Worker[] = [];
  const stopped = Promise.withResolvers<void>();
  serveThreads(port1, {
    echo: () => {
      const echo = startEcho();
      echoes.push(echo);
      const terminate = echo.terminate.bind(echo);
      echo.terminate = () => {
        terminate();
        stopped.resolve();
      };
      return Promise.resolve(echo);
    },
  });
  const heard = Promise.withResolvers<string>();
  asker.onmessage = ({ data }) => heard.resolve(data);
  const errand: Errand = { port: port2, name, says };
  asker.postMessage(errand, [port2]);
  return {
    heard: await heard.promise,
    stopped: stopped.promise,
    [Symbol.dispose]() {
      asker.terminate();
      for (const echo of echoes) echo.terminate();
      port1.close();
    },
  };
}

Deno.test("a Worker speaks with a thread that another isolate started for it, and stops it", async () => {
  using asked = await ask("echo", "hear");
  assert.equal(asked.heard, "hear hear");
  await asked.stopped;
});

Deno.test("nothing is started that is not on the list", async () => {
  for (const name of ["no-such", "constructor"]) {
    using asked = await ask(name, "hear");
    assert.equal(asked.heard, `broken: no thread "${name}"`);
  }
});

Deno.test("whoever wants a thread is told that it died", async () => {
  using asked = await ask("echo", "boom");
  assert.match(asked.heard, /^broken: .*boom/);
});

Deno.test("where no isolate starts threads for this one, it starts them itself", async () => {
  const heard = Promise.withResolvers<string>();
  using thread = openThread<string, string>("echo", startEcho, {
    message: heard.resolve,
    broken: heard.reject,
  });
  thread.post("here");
  assert.equal(await heard.promise, "here here");
});
