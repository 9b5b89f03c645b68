/** Workers that take layers whole are ready before a pull, where the configuration takes images so, and nowhere else. */
import assert from "node:assert/strict";
import { pause } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { checkedImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { LazyHost } from "./host.ts";

const EAGER = `
[eager]
unindexed = ["**"]
`;
const TIMEOUT_MS = 30_000;

/** How many Workers a daemon has. */
function workers({ pid }: LazyHost): number {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].filter(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/comm`)
      .startsWith("worker-")
  ).length;
}

/** What a daemon has of layers that are not done, made-up ones too. */
function ingest({ root }: LazyHost): string[] {
  try {
    return [...Deno.readDirSync(`${root}/ingest`)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function cpuTicks({ pid }: LazyHost): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`)
    .split(") ")[1]!.split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Waits until a daemon does nothing. */
async function idle(host: LazyHost): Promise<void> {
  const untilMs = performance.now() + TIMEOUT_MS;
  for (let before = -1;;) {
    const now = cpuTicks(host);
    if (now === before) return;
    assert(performance.now() < untilMs, "it comes to rest");
    before = now;
    await pause(700);
  }
}

testUnless(await erofsRefusal(), {
  name:
    "Workers are ready where images are taken whole, nothing of that is shown or left, and a daemon that is killed meanwhile leaves nothing to the next one",
  async fn() {
    await using registry = startRegistry();
    const image = `${registry.host}/checked:1`;
    await pushImage(registry.host, "checked:1", checkedImage());
    registry.requests.length = 0;
    let lazily: number;
    {
      await using host = await LazyHost.start({});
      await idle(host);
      lazily = workers(host);
      assert.deepEqual(ingest(host), []);
    }
    await using host = await LazyHost.start({ config: EAGER });
    let moments = 0;
    for (let waitMs = 0; waitMs < 1500; waitMs += 30) {
      if (ingest(host).some((name) => /^made-up-.*\.tar$/.test(name))) {
        moments++;
        await host.killDaemon();
        await host.startDaemon();
        if (moments === 3) break;
        waitMs = 0;
      }
      await pause(30);
    }
    assert(moments > 0, "it was killed in the middle of a layer");
    await idle(host);
    assert.equal(workers(host), lazily + 2);
    assert.deepEqual(ingest(host), []);
    assert.deepEqual(registry.requests, []);
    const { layers } = await host.pull(image);
    assert.deepEqual([...new Set(layers.map(({ outcome }) => outcome))], [
      "served",
    ]);
    assert.equal(workers(host), lazily + 2); // those
  },
});
