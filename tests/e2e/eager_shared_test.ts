/** Layers that several images, or several namespaces, take whole at the same moment. */
import assert from "node:assert/strict";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { LazyHost } from "./host.ts";

const EAGER = `
[eager]
unindexed = ["**"]
`;
const SIZE = 6_000_000;
const DATA = incompressible(SIZE, 5);
/** The lowest layer of all images here. */
const SHARED = layerBlob(addBusybox(new TarBuilder()).file("data", DATA));
const refusal = await erofsRefusal();

const imageWith = (name: string) =>
  makeImage({
    layers: [SHARED, layerBlob(new TarBuilder().file("name", name))],
  });

/** The shared layer's bytes wait until this is over. */
function holdShared(registry: TestRegistry) {
  const over = Promise.withResolvers<void>();
  const asked = new Set<string>();
  registry.intercept = async (path, { method }) => {
    if (method !== "GET" || !path.endsWith(SHARED.digest)) return null;
    asked.add(path.split("/")[2]!);
    await over.promise;
    return null;
  };
  return { asked, go: () => over.resolve() };
}

async function reads(host: LazyHost, image: string, namespace = "default") {
  await Deno.writeTextFile("/proc/sys/vm/drop_caches", "3");
  const { stdout, stderr } = await ctrRun(host.containerd, {
    ...{ image, namespace, snapshotter: "soci" },
    id: `shared-${crypto.randomUUID()}`,
    args: ["/bin/sh", "-c", "sha256sum < /data; cat /name"],
  });
  assert.ok(stdout.includes(sha256(DATA).slice(7)), `${stdout}${stderr}`);
  return stdout.trim().split("\n").at(-1);
}

async function until(what: () => boolean, why: () => string) {
  for (let tries = 0; !what(); tries++) {
    assert.ok(tries < 400, why());
    await pause(50);
  }
}

const folders = (host: LazyHost, name: string) =>
  [...Deno.readDirSync(`${host.root}/${name}`)].map(({ name }) => name);

testUnless(refusal, {
  name:
    "of two images that take one layer at once, one is given up and removed, and the other one is shown and reads on",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    // In one repository they share its download; of two each proves it for itself.
    for (const other of ["app", "other"]) {
      const names = [`${registry.host}/app:gone-${other}`];
      await pushImage(registry.host, `app:gone-${other}`, imageWith("gone"));
      await pushImage(registry.host, `${other}:stays`, imageWith("stays"));
      const stays = `${registry.host}/${other}:stays`;
      const held = holdShared(registry);
      const gone = host.startPull(names[0]!);
      await until(() => held.asked.size > 0, () => "it is asked for");
      const pulled = host.pull(stays);
      pulled.catch(() => {}); // awaited below
      await pause(1000);
      gone.kill("SIGINT");
      await gone.status;
      await pause(4000); // its downloads end three seconds later
      held.go();
      const { layers } = await pulled;
      assert.deepEqual(
        layers.map(({ outcome }) => outcome),
        ["served", "served"],
      );
      registry.intercept = null;
      assert.equal(await reads(host, stays), "stays");

      // The one that was given up comes, and goes while the other one is read.
      await host.pull(names[0]!);
      assert.equal(await reads(host, names[0]!), "gone");
      const reading = reads(host, stays);
      await host.containerd.ctr("images", "rm", "--sync", names[0]!);
      assert.equal(await reading, "stays");
      assert.equal(await reads(host, stays), "stays");
      await host.removeImages(stays);
      await until(
        () => folders(host, "layers").length === 0,
        () => `${folders(host, "layers")} stay`,
      );
      await until(
        () => folders(host, "ingest").length === 0,
        () => `${folders(host, "ingest")} stay`,
      );
    }
  },
});

testUnless(refusal, {
  name:
    "two namespaces take an image at once, and the one's removal takes nothing from the other",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    await pushImage(registry.host, "app:1", imageWith("app"));
    const image = `${registry.host}/app:1`;
    const spaces = ["default", "second"];
    const both = await Promise.all(
      spaces.map((namespace) => host.pull(image, namespace)),
    );
    for (const { layers } of both) {
      assert.deepEqual(
        [...new Set(layers.map(({ outcome }) => outcome))],
        ["served"],
      );
    }
    for (const space of spaces) {
      assert.equal(await reads(host, image, space), "app");
    }
    const reading = reads(host, image, "second");
    await host.containerd.ctr("images", "rm", "--sync", image);
    assert.equal(await reading, "app");
    await host.killDaemon();
    await host.startDaemon();
    await host.reconnected();
    assert.equal(await reads(host, image, "second"), "app");
    await host.containerd.ctr(
      ...["--namespace", "second", "images", "rm", "--sync", image],
    );
    await until(
      () => folders(host, "layers").length === 0,
      () => `${folders(host, "layers")} stay`,
    );
  },
});
