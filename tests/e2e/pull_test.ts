/** `soci-deno pull` beside others, cut short, and against images that lie. */
import assert from "node:assert/strict";
import { connectContainerd } from "../../lib/remote/containerd/mod.ts";
import {
  type Containerd,
  ctrRun,
  pause,
  sociDenoCommand,
  startContainerd,
  tryRun,
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
import { buildIndex, LazyHost, sociDeno } from "./host.ts";
import { digestsIn } from "./tools_host.ts";

const layer = (name: string, bytes: number) =>
  layerBlob(new TarBuilder().file(name, incompressible(bytes, name.length)));

const SHARED = layer("shared", 2 ** 20);

/** A pull that uses containerd's own snapshotter: every layer is downloaded. */
function pull(containerd: Containerd, image: string, ...flags: string[]) {
  return sociDeno(
    ...["pull", "--address", `unix://${containerd.address}`],
    ...["--snapshotter", "overlayfs", ...flags, image],
  );
}

/** Each blob comes in two halves, the second one later. */
function slowBlobs(registry: TestRegistry, blobs: LayerBlob[], ms: number) {
  registry.intercept = (path, request) => {
    const blob = blobs.find(({ digest }) => path.endsWith(`/blobs/${digest}`));
    if (blob === undefined || request.method !== "GET") return null;
    const bytes = new Uint8Array(blob.bytes);
    const half = bytes.length >> 1;
    return new Response(
      new ReadableStream({
        async start(controller) {
          controller.enqueue(bytes.subarray(0, half));
          await pause(ms);
          try {
            controller.enqueue(bytes.subarray(half));
            controller.close();
          } catch {
            // whoever asked has left
          }
        },
      }),
      { headers: { "content-length": String(bytes.length) } },
    );
  };
}

/** What a pull may leave in containerd, beside an image. */
async function traces({ address }: Containerd) {
  using client = await connectContainerd(address, { namespace: "default" });
  const snapshots: string[] = [];
  for await (const { name } of client.snapshots.of("overlayfs").list()) {
    snapshots.push(name);
  }
  return { leases: await client.leases.list(), snapshots };
}

const uploads = async (containerd: Containerd) =>
  (await containerd.ctr("content", "active")).trim().split("\n").slice(1);

Deno.test("pulls at once that share layers, or all of an image, succeed", async () => {
  await using registry = startRegistry();
  await using containerd = await startContainerd();
  const own = [layer("first", 5000), layer("second", 6000)];
  for (const [i, top] of own.entries()) {
    const image = makeImage({ layers: [SHARED, top] });
    await pushImage(registry.host, `image-${i}:1`, image);
  }
  slowBlobs(registry, [SHARED, ...own], 1500);
  const names = ["image-0:1", "image-1:1", "image-0:1", "image-1:1"];
  const results = await Promise.all(
    names.map((name) => pull(containerd, `${registry.host}/${name}`)),
  );
  for (const { code, stderr } of results) assert.equal(code, 0, stderr);
  assert.deepEqual(await uploads(containerd), []);
  const { leases, snapshots } = await traces(containerd);
  assert.deepEqual(leases, []);
  assert.equal(snapshots.length, 3, snapshots.join());
});

for (
  const [how, flags, end, why] of [
    ["SIGINT", [], "SIGINT", /interrupted by SIGINT/],
    ["SIGTERM", [], "SIGTERM", /interrupted by SIGTERM/],
    ["its time being over", ["--timeout", "3s"], null, /not done within 3s/],
  ] as const
) {
  Deno.test(`a pull that is ended by ${how} leaves no lease, upload or snapshot`, async () => {
    await using registry = startRegistry();
    await using containerd = await startContainerd();
    await pushImage(
      registry.host,
      "app:1",
      makeImage({ layers: [layer("below", 4000), SHARED] }),
    );
    slowBlobs(registry, [SHARED], 60_000);
    const { program, args } = sociDenoCommand(
      ...["pull", "--address", containerd.address, "--snapshotter"],
      ...["overlayfs", ...flags, `${registry.host}/app:1`],
    );
    const child = new Deno.Command(program, {
      args,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    for (let tries = 0; (await uploads(containerd)).length === 0; tries++) {
      assert.ok(tries < 100, "the upload has begun");
      await pause(100);
    }
    if (end !== null) child.kill(end);
    const { code, stderr } = await output;
    const said = new TextDecoder().decode(stderr);
    assert.equal(code, 1, said);
    assert.match(said, why);
    assert.equal(said.trimEnd().split("\n").length, 1, said);
    assert.deepEqual(await uploads(containerd), []);
    const { leases, snapshots } = await traces(containerd);
    assert.deepEqual(leases, []);
    assert.ok(snapshots.every((name) => !name.includes("extract-")), "left");
  });
}

Deno.test("nor does a pull that is ended at any other moment", async () => {
  await using registry = startRegistry();
  await using containerd = await startContainerd();
  const layers = Array.from({ length: 8 }, (_, at) => layer(`${at}`, 20_000));
  for (let round = 0; round < 12; round++) {
    const own = layer(`round ${round}`, 1000 + round);
    const name = `round-${round}:1`;
    const image = makeImage({ layers: [own, ...layers] });
    await pushImage(registry.host, name, image);
    registry.reset();
    const { program, args } = sociDenoCommand(
      ...["pull", "--address", containerd.address, "--snapshotter"],
      ...["overlayfs", `${registry.host}/${name}`],
    );
    const child = new Deno.Command(program, {
      args,
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    while (registry.requests.length === 0) await pause(5);
    await pause(round * 20);
    try {
      child.kill("SIGTERM");
    } catch {
      // it was faster
    }
    const { code, stderr } = await output;
    if (code !== 0) {
      assert.match(new TextDecoder().decode(stderr), /interrupted by SIGTERM/);
    }
    const { leases, snapshots } = await traces(containerd);
    assert.deepEqual(leases, [], `round ${round}`);
    assert.deepEqual(
      snapshots.filter((name) => name.includes("extract-")),
      [],
      `round ${round}`,
    );
    assert.deepEqual(await uploads(containerd), [], `round ${round}`);
  }
});

Deno.test("a layer that is not what the image's configuration says is not kept under its name", async () => {
  await using registry = startRegistry();
  await using containerd = await startContainerd();
  const victim = layer("victim", 5000);
  const evil = { ...layer("evil", 5000), diffId: victim.diffId };
  await pushImage(registry.host, "evil:1", makeImage({ layers: [evil] }));
  await pushImage(registry.host, "good:1", makeImage({ layers: [victim] }));
  const { code, stderr } = await pull(containerd, `${registry.host}/evil:1`);
  assert.equal(code, 1);
  assert.match(stderr, /the configuration says/);
  assert.deepEqual((await traces(containerd)).snapshots, []);
  assert.equal((await pull(containerd, `${registry.host}/good:1`)).code, 0);
});

Deno.test("a blob that has two diff IDs in one image is refused, one that stands there twice is not", async () => {
  await using registry = startRegistry();
  await using containerd = await startContainerd();
  const base = layerBlob(addBusybox(new TarBuilder()));
  const twice = layerBlob(new TarBuilder().file("etc/twice", "below\n"));
  const between = layerBlob(new TarBuilder().file("etc/twice", "between\n"));
  const honest = makeImage({ layers: [base, twice, between, twice] });
  const lying = makeImage({
    layers: [base, twice, between, { ...twice, diffId: between.diffId }],
  });
  await pushImage(registry.host, "honest:1", honest);
  await pushImage(registry.host, "lying:1", lying);
  const image = `${registry.host}/honest:1`;
  assert.equal((await pull(containerd, image)).code, 0);
  const { stdout } = await ctrRun(containerd, {
    image,
    id: `twice-${crypto.randomUUID()}`,
    args: ["/bin/busybox", "cat", "/etc/twice"],
  });
  assert.equal(stdout, "below\n");
  const refused = await pull(containerd, `${registry.host}/lying:1`);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /two diff IDs/);
});

Deno.test("a pull takes containerd's address with and without its scheme, from the variable too", async () => {
  await using registry = startRegistry();
  await using containerd = await startContainerd();
  await pushImage(registry.host, "app:1", makeImage({ layers: [SHARED] }));
  const image = `${registry.host}/app:1`;
  const line = ["pull", "--snapshotter", "overlayfs", "--quiet", image];
  for (const address of [containerd.address, `unix://${containerd.address}`]) {
    const flag = await sociDeno("-a", address, ...line);
    assert.equal(flag.code, 0, flag.stderr);
    const { program, args } = sociDenoCommand(...line);
    const variable = await tryRun(program, args, {
      env: { CONTAINERD_ADDRESS: address },
    });
    assert.equal(variable.code, 0, variable.stderr);
  }
  const other = await sociDeno(...line, "--address", "tcp://127.0.0.1:1");
  assert.equal(other.code, 2);
  assert.match(other.stderr, /say a path or unix:/);
});

Deno.test("the daemon asks for the index while pull asks for the configuration: three round trips until both are here", async () => {
  await using registry = startRegistry();
  const image = makeImage({ layers: [layer("one", 1000), layer("two", 2000)] });
  const name = `${registry.host}/app:1`;
  await pushImage(registry.host, "app:1", image);
  const index = digestsIn(await buildIndex("--min-layer-size", "0", name))
    .at(-1)!;
  await using host = await LazyHost.start();
  registry.requests.length = 0;
  const asked = Promise.withResolvers<void>();
  registry.intercept = async (path) => {
    if (path.endsWith(index)) asked.resolve();
    // One after the other, nobody would ever ask for the index.
    if (path.endsWith(image.configDigest)) await asked.promise;
    return null;
  };
  const { layers } = await host.pull(name);
  assert.deepEqual(layers.map(({ outcome }) => outcome), ["served", "served"]);
  const paths = registry.requests.map(({ path }) => path);
  const times = (part: string) =>
    paths.filter((path) => path.includes(part)).length;
  assert.equal(times("/referrers/"), 1);
  assert.equal(times(index), 1);
  assert.equal(times(`/manifests/${image.digest}`), 1, "by the daemon");
  assert.ok(times(image.configDigest) <= 2);
});
