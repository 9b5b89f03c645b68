/**
 * One containerd, several registries, some of which lie: what a container reads is decided by its own image,
 * whatever images came before it.
 */
import assert from "node:assert/strict";
import {
  CommandError,
  type CommandResult,
  ctrRun,
  pause,
} from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import {
  beginningOf,
  pushIndexed,
  startLyingRegistry,
  ztocOfBlob,
} from "./forged.ts";
import { LazyHost, sociDeno } from "./host.ts";

const CONFIG = `
[background_fetch]
disable = true
[blob]
max_read_wait_sec = 5
[trust]
complete_wait_sec = 20
`;

/** A base whose `/word` says a word; equal but for that. */
function base(word: string): LayerBlob {
  return layerBlob(
    addBusybox(new TarBuilder()).file("word", `${word}\n`)
      .file("noise", incompressible(600_000, 1)),
    { level: 0 }, // as long as each other
  );
}

const GOOD = base("GOOD");
const EVIL = base("EVIL");
const top = (name: string) =>
  layerBlob(
    new TarBuilder().file(name, `${name}\n`)
      .file(`${name}-noise`, incompressible(200_000, name.length)),
  );
const TOP = top("top");

/** Pushes an image whose ztocs are honest. */
function push(
  registry: TestRegistry,
  repository: string,
  layers: readonly LayerBlob[],
  spanSize?: number,
): string {
  const honest = layers.map((layer) => ({
    layer,
    ztoc: ztocOfBlob(layer.bytes, spanSize),
  }));
  return pushIndexed(registry, repository, honest).name;
}

/** A registry, and its image on the good base, whose ztoc and bytes say EVIL. */
function evilImage(above: readonly LayerBlob[]) {
  const registry = startLyingRegistry(new Map([[GOOD.digest, EVIL.bytes]]));
  const { name } = pushIndexed(registry, "evil/app", [
    { layer: GOOD, ztoc: ztocOfBlob(EVIL.bytes) },
    ...above.map((layer) => ({ layer, ztoc: ztocOfBlob(layer.bytes) })),
  ]);
  return { registry, name };
}

async function pull(
  host: LazyHost,
  image: string,
  namespace = "default",
): Promise<void> {
  const { code, stderr } = await sociDeno(
    ...["pull", "--address", host.containerd.address],
    ...["--namespace", namespace, image],
  );
  assert.equal(code, 0, `${stderr}\n${host.logs()}`);
}

function read(
  host: LazyHost,
  image: string,
  namespace = "default",
): Promise<CommandResult> {
  return ctrRun(host.containerd, {
    image,
    id: `trust-${crypto.randomUUID()}`,
    snapshotter: "soci",
    namespace,
    args: ["/bin/busybox", "cat", "/word"],
  });
}

async function says(
  host: LazyHost,
  word: string,
  image: string,
  namespace = "default",
): Promise<void> {
  const { code, stdout, stderr } = await read(host, image, namespace);
  assert.equal(code, 0, `${stderr}\n${host.logs().slice(-6000)}`);
  assert.equal(stdout, `${word}\n`);
}

async function restart(host: LazyHost): Promise<void> {
  await host.killDaemon();
  await host.startDaemon();
  await host.reconnected();
}

Deno.test("of images that share a base each reads what its own index says, in one namespace and in two, also when the first is gone and the daemon has started again", async () => {
  const evil = evilImage([top("evil")]);
  await using _evil = evil.registry;
  await using honest = startRegistry();
  const name = push(honest, "team/app", [GOOD, top("good")]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, evil.name);
  await says(host, "EVIL", evil.name);
  await pull(host, name);
  await says(host, "GOOD", name);
  await pull(host, name, "other");
  await says(host, "GOOD", name, "other");
  await restart(host);
  await says(host, "GOOD", name);
  await host.containerd.ctr("images", "rm", "--sync", evil.name);
  await pause(500);
  await says(host, "GOOD", name);
  await says(host, "GOOD", name, "other");
});

Deno.test("an image without an index is neither unpacked nor run on a base that another image lied about, and runs in a namespace of its own", async () => {
  const evil = evilImage([top("evil")]);
  await using _evil = evil.registry;
  await using honest = startRegistry();
  const victim = makeImage({ layers: [GOOD, top("plain")] });
  await pushImage(honest.host, "team/plain:1", victim);
  const name = `${honest.host}/team/plain:1`;
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, evil.name);
  await says(host, "EVIL", evil.name);
  const { code, stderr } = await sociDeno(
    ...["pull", "--address", host.containerd.address, name],
  );
  assert.notEqual(code, 0);
  assert.match(stderr, /must be proven, as it was brought by another image/);
  await pull(host, name, "other");
  await says(host, "GOOD", name, "other");
});

Deno.test("an image without an index is unpacked and runs on a base that another image brought, once that is proven", async () => {
  await using registry = startRegistry();
  const indexed = push(registry, "team/app", [GOOD, top("good")]);
  const plain = makeImage({ layers: [GOOD, top("plain")] });
  await pushImage(registry.host, "team/plain:1", plain);
  const name = `${registry.host}/team/plain:1`;
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, indexed);
  await pull(host, name);
  await says(host, "GOOD", name);
  // The proof is kept: nothing is asked again.
  await restart(host);
  await registry.close();
  await says(host, "GOOD", name);
});

Deno.test("a container on a chain that images of two repositories share reads nothing that only one of them vouches for", async () => {
  const evil = evilImage([TOP]);
  await using _evil = evil.registry;
  await using honest = startRegistry();
  const victim = push(honest, "team/app", [GOOD, TOP]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, evil.name);
  await says(host, "EVIL", evil.name);
  await pull(host, victim); // containerd has the chain, and asks nobody
  for (const image of [victim, evil.name]) {
    const { code, stdout, stderr } = await read(host, image);
    assert.notEqual(code, 0, host.logs().slice(-9000));
    assert.equal(stdout, "");
    assert.match(stderr, /share this chain by different ztocs/);
  }
  await pull(host, victim, "other");
  await says(host, "GOOD", victim, "other");
});

Deno.test("a shared chain of honest images is completed first, and needs not be where both name the same ztocs", async () => {
  await using one = startRegistry();
  await using two = startRegistry();
  const first = push(one, "team/app", [GOOD, TOP]);
  const same = push(two, "other/app", [GOOD, TOP]);
  const coarse = push(two, "third/app", [GOOD, TOP], 128 * 1024);
  await using host = await LazyHost.start({ config: CONFIG });
  const parts = () => one.requests.filter(({ range }) => range !== null).length;
  await pull(host, first);
  await pull(host, same);
  await says(host, "GOOD", same);
  const before = one.bytesServed();
  await pull(host, coarse);
  await says(host, "GOOD", coarse);
  assert.ok(one.bytesServed() > before, `${parts()} parts: it was completed`);
});

Deno.test("containers are prepared while containerd collects garbage", async () => {
  await using registry = startRegistry();
  const image = push(registry, "team/app", [GOOD, TOP]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, image);
  const { containerd } = host;
  let collecting = true;
  const collected = (async () => {
    let count = 0;
    for (; collecting; count++) {
      await containerd.ctr("images", "tag", image, `x.example/tag:${count}`);
      // Waits until containerd has collected garbage.
      await containerd.ctr("images", "rm", "--sync", `x.example/tag:${count}`);
    }
    return count;
  })();
  try {
    await Promise.all(
      Array.from({ length: 3 }, async () => {
        for (let i = 0; i < 4; i++) await says(host, "GOOD", image);
      }),
    );
  } finally {
    collecting = false;
  }
  assert.ok(await collected > 0);
  assert.ok(!host.logs().includes("does not say which images"));
});

Deno.test("an image that was committed locally is shown on what the image below it was given", async () => {
  const evil = evilImage([top("evil")]);
  await using _evil = evil.registry;
  await using honest = startRegistry();
  const name = push(honest, "team/app", [GOOD, top("good")]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, evil.name);
  const { layers } = await host.pull(name);
  const snapshots = (...args: string[]) =>
    host.containerd.ctr("snapshots", "--snapshotter", "soci", ...args);
  await snapshots("prepare", "work", layers.at(-1)!.chainId);
  await snapshots("commit", "local", "work");
  const mounts = await snapshots("prepare", "--mounts", "run", "local").catch(
    async (error) => {
      if (!(error instanceof CommandError)) throw error;
      await snapshots("prepare", "run", "local");
      return await snapshots("mounts", "/mnt", "run");
    },
  );
  const lower = /lowerdir=([^,\s"]+)/.exec(mounts)?.[1]?.split(":") ?? [];
  // Not `readTextFileSync`: the registry is in this very thread.
  const words = await Promise.all(
    lower.map((path) => Deno.readTextFile(`${path}/word`).catch(() => "")),
  );
  assert.deepEqual(words.filter(Boolean), ["GOOD\n"], mounts);
});

Deno.test("a registry that has no blob gives no container another image's layer; one that has it shares it, and asks nothing when it is gone", async () => {
  await using honest = startRegistry();
  const owner = push(honest, "team/app", [GOOD, top("good")]);
  const second = push(honest, "team/second", [GOOD, top("good")]);
  await using thief = startLyingRegistry(
    new Map([[GOOD.digest, beginningOf(GOOD.bytes)]]),
  );
  const stolen = push(thief, "thief/app", [GOOD, top("good")]);
  await using host = await LazyHost.start({ config: CONFIG });
  await pull(host, owner);
  await says(host, "GOOD", owner);
  await pull(host, stolen, "thief");
  assert.equal((await read(host, stolen, "thief")).stdout, "");
  await pull(host, second, "other");
  await says(host, "GOOD", second, "other");
  await honest.close();
  await restart(host);
  await says(host, "GOOD", owner);
  await says(host, "GOOD", second, "other");
  assert.equal((await read(host, stolen, "thief")).stdout, "");
});
