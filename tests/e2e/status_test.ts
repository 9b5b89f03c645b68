import assert from "node:assert/strict";
import { ctrRun, freePort } from "../support/host/mod.ts";
import {
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, CONFIG, LazyHost, sociDeno } from "./host.ts";

const PLAIN = makeImage({
  layers: [layerBlob(new TarBuilder().file("plain", "text"))],
});

Deno.test("status and metrics tell what is served, and how much of it is here, before and after a read", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "shown:1", programImage());
  const image = `${registry.host}/shown:1`;
  await buildIndex("--min-layer-size", "0", image);
  const port = freePort();
  await using host = await LazyHost.start({
    config: `metrics_address = "127.0.0.1:${port}"\n${CONFIG}`,
  });
  const root = ["--root", `${host.folder}/root`];
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return `${answer.status} ${await answer.text()}`;
  };
  assert.equal(await get("/readyz"), "200 ok\n");
  const ask = async () => {
    const { code, stdout, stderr } = await sociDeno(
      ...["status", "--json", ...root],
    );
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  assert.deepEqual((await ask()).layers, []);
  const { layers } = await host.pull(image);
  const before = await ask();
  assert.equal(before.layers.length, layers.length);
  assert.equal(before.cache.bytes, 0);
  assert.equal(before.fetched.demandBytes, 0);
  await ctrRun(host.containerd, {
    image,
    id: "shown",
    snapshotter: "soci",
    args: ["/bin/busybox", "true"],
  });
  const after = await ask();
  assert.ok(after.cache.bytes > 0);
  assert.ok(after.fetched.demandBytes > 0);
  await pushImage(registry.host, "plain:1", PLAIN);
  await host.pull(`${registry.host}/plain:1`);
  const metrics = await get("/metrics");
  const line = (text: string) =>
    assert.ok(metrics.split("\n").includes(text), `${text} in ${metrics}`);
  line(`soci_deno_layers ${layers.length}`);
  line(
    `soci_deno_fetched_bytes_total{for="reader"} ${after.fetched.demandBytes}`,
  );
  line(`soci_deno_host_waiting_spans{host="${registry.host}"} 0`);
  assert.match(
    metrics,
    new RegExp(
      `^soci_deno_host_share_bytes\\{host="${registry.host}"\\} \\d+$`,
      "m",
    ),
  );
  line(`soci_deno_cache_bytes ${after.cache.bytes}`);
  line('soci_deno_not_lazy_total{reason="no index"} 1');
  const shown = after.layers.find(
    ({ cachedSpans }: { cachedSpans: number }) => cachedSpans > 0,
  );
  line(
    `soci_fs_layer_size_bytes{digest="${shown.digest}",mountpoint="${shown.directory}"} ${shown.sizeBytes}`,
  );
  line(
    `soci_fs_layer_fetched_size_bytes{digest="${shown.digest}",mountpoint="${shown.directory}"} ${shown.fetchedBytes}`,
  );
  assert.ok(shown.fetchedBytes > 0 && shown.fetchedBytes <= shown.sizeBytes);
  const counted = (type: string, count: number) =>
    line(`soci_fs_operation_count{operation_type="${type}"} ${count}`);
  counted("fuse_mount_failure_count", 0);
  counted("fuse_file_read_failure_count", 0);
  counted(
    "synchronous_read_remote_registry_fetch_count",
    after.fetched.waits,
  );
  assert.ok(after.fetched.waits > 0);
  assert.match(await get("/elsewhere"), /^404/);
  const { stdout } = await sociDeno("status", ...root);
  assert.match(stdout, /^process: +\d+, up \d+ s$/m);
  assert.match(stdout, /^ {2}sha256:[0-9a-f]{12} +\d+ .* \d+ % .* lazily/m);
});

Deno.test("status says that no daemon runs", async () => {
  const root = await Deno.makeTempDir({ prefix: "soci-deno-status-" });
  const { code, stderr } = await sociDeno("status", "--root", root);
  assert.equal(code, 1);
  assert.equal(stderr, `soci-deno status: no daemon runs on ${root}\n`);
  await Deno.remove(root);
});
