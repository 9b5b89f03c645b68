/** Keys of the configuration whose effect is seen on a whole host: what the log, the debugger and `/readyz` tell. */
import assert from "node:assert/strict";
import {
  RpcChannel,
  SnapshotsClient,
} from "../../lib/remote/containerd/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

/** Asks a server on a Unix socket. */
async function ask(path: string, url: string): Promise<Response> {
  using client = Deno.createHttpClient({
    proxy: { transport: "unix", path },
  });
  const answer = await fetch(`http://localhost${url}`, { client });
  const body = await answer.text();
  return new Response(body, { status: answer.status });
}

Deno.test("the kernel's requests, checks of connections, figures of starts and of the background are told where the configuration says so", async () => {
  await using registry = startRegistry();
  const image = `${registry.host}/app:1`;
  await pushImage(
    registry.host,
    "app:1",
    makeImage({
      layers: [
        layerBlob(addBusybox(new TarBuilder())),
        layerBlob(
          new TarBuilder().dir("data")
            .file("data/one", incompressible(2 ** 20, 1))
            .file("data/two", incompressible(8 * 2 ** 20, 2)),
        ),
      ],
      config: { cmd: ["/bin/sh"] },
    }),
  );
  await buildIndex(
    // A companion is raced by the ztocs themselves where it is slow.
    ...["--no-companion", "--min-layer-size", "0"],
    ...["--span-size", "256KiB", image],
  );
  const sockets = await Deno.makeTempDir({ prefix: "soci-deno-sockets-" });
  const config = (more: string) => `
max_concurrency = 1
debug_address = "${sockets}/debug"
metrics_address = "${sockets}/metrics"
metrics_network = "unix"
fuse_metrics_emit_wait_duration_sec = 1
[fuse]
log_fuse_operations = true
[blob]
check_always = true
[pull_modes.soci_v1]
enable = true
[background_fetch]
silence_period_msec = 1
fetch_period_msec = 1000
emit_metric_period_sec = 1
${more}`;
  await using host = await LazyHost.start({ config: config(""), face: "fuse" });
  const told = async (words: RegExp) => {
    for (let tries = 0; !words.test(host.logs()); tries++) {
      assert.ok(tries < 400, `${words}\n${host.logs()}`);
      await pause(50);
    }
  };
  // Ztocs that are asked for at a time: a layer is opened after another.
  const open = new Set<string>();
  const together: string[] = [];
  registry.intercept = async (path, { method, headers }) => {
    if (method !== "GET" || !path.includes("/blobs/")) return null;
    if (headers.has("range")) return null;
    open.add(path);
    if (open.size > 1) together.push([...open].join(" "));
    await pause(100);
    open.delete(path);
    return null;
  };
  const { layers } = await host.pull(image);
  registry.intercept = null;
  assert.deepEqual(together, []);
  const { code, stdout } = await ctrRun(host.containerd, {
    image,
    id: "keys",
    snapshotter: "soci",
    args: ["/bin/busybox", "wc", "-c", "/data/one"],
  });
  assert.equal(code, 0);
  assert.match(stdout, /^1048576 /);
  await told(
    /request of the kernel.*"operation":"LOOKUP".*"path":"\/data\/one"/,
  );
  await told(/request of the kernel.*"operation":"READ".*"path":"\/data\/one"/);
  await told(/a layer's registry gives it/);
  await told(/what was read of an image.*"spans_read":[1-9]/);
  await told(/background fetch.*"filling":[1-9]/);
  const memory = await (await ask(`${sockets}/debug`, "/debug/memory")).json();
  assert.ok(memory.process.rss > 0 && memory.heap.used_heap_size > 0);
  const status = await (await ask(`${sockets}/debug`, "/debug/status")).json();
  assert.equal(status.layers.length, 2);
  assert.equal((await ask(`${sockets}/metrics`, "/readyz")).status, 200);

  // Usage is what lies on this disk, all files of a layer's folder.
  const onDisk = () =>
    [...Deno.readDirSync(`${host.root}/layers`)].flatMap(({ name }) => {
      const folder = `${host.root}/layers/${name}`;
      return [...Deno.readDirSync(folder)].map((file) =>
        (Deno.statSync(`${folder}/${file.name}`).blocks ?? 0) * 512
      );
    }).reduce((sum, bytes) => sum + bytes, 0);
  using channel = new RpcChannel({ socketPath: host.socket });
  const snapshots = new SnapshotsClient(channel, "soci");
  const before = onDisk();
  let usage = 0;
  for (const { chainId } of layers) {
    usage += (await snapshots.usage(chainId)).sizeBytes;
  }
  assert.ok(before <= usage && usage <= onDisk(), `${before} ${usage}`);

  // The ztocs are lost while no daemon runs, and the registry is away.
  await registry.close();
  await host.killDaemon();
  for (const { name } of [...Deno.readDirSync(`${host.root}/layers`)]) {
    await Deno.remove(`${host.root}/layers/${name}/ztoc`);
  }
  await host.startDaemon();
  const ready = await ask(`${sockets}/metrics`, "/readyz");
  assert.equal(ready.status, 503);
  assert.match(
    await ready.text(),
    /2 layers of earlier pulls cannot be served/,
  );
  await host.killDaemon();
  const file = `${host.folder}/config.toml`;
  await Deno.writeTextFile(
    file,
    `${await Deno.readTextFile(
      file,
    )}\n[snapshotter]\nallow_invalid_mounts_on_restart = true\n`,
  );
  await host.startDaemon();
  assert.equal((await ask(`${sockets}/metrics`, "/readyz")).status, 200);

  await host.killDaemon();
  await Deno.remove(`${sockets}/metrics`);
  await Deno.writeTextFile(
    file,
    `no_prometheus = true\n${await Deno.readTextFile(file)}`,
  );
  await host.startDaemon();
  await assert.rejects(Deno.stat(`${sockets}/metrics`), Deno.errors.NotFound);
  await Deno.remove(sockets, { recursive: true });
});
