/** The kubelet's image service on the daemon's socket, and the logins that its pulls bring. */
import assert from "node:assert/strict";
import type { DaemonStatus } from "../../cmd/daemon_status.ts";
import { askStatus } from "../../lib/host/control/mod.ts";
import { RpcChannel } from "../../lib/remote/containerd/mod.ts";
import { CriClient, ctrRun, tryRun } from "../support/host/mod.ts";
import { ImageService } from "../support/cri/gen/runtime/v1/api_pb.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const PASSWORD = "correct-horse-battery";
const BASIC = `Basic ${btoa(`anna:${PASSWORD}`)}`;

Deno.test("a private image that the kubelet pulls through the daemon is lazy; its login is in memory alone, also of a successor, and what is missing after a kill is told", async () => {
  await using registry = startRegistry({
    auth: { kind: "basic", username: "anna", password: PASSWORD },
  });
  await using open = startRegistry();
  await pushImage(open.host, "pause:1", pauseImage());
  const image = `${registry.host}/team/app:1`;
  await pushImage(
    registry.host,
    "team/app:1",
    makeImage({
      layers: [
        layerBlob(addBusybox(new TarBuilder())),
        layerBlob(
          new TarBuilder().dir("data")
            .file("data/one", incompressible(2 ** 20, 1))
            .file("data/two", incompressible(2 ** 20, 2))
            .file("data/three", incompressible(2 ** 20, 3)),
        ),
      ],
      config: { cmd: ["/bin/sh"] },
    }),
    { authorization: BASIC },
  );
  const built = await sociDeno(
    ...["build-index", "--user", `anna:${PASSWORD}`],
    ...["--min-layer-size", "0", "--span-size", "256KiB", image],
  );
  assert.equal(built.code, 0, built.stderr);

  await using host = await LazyHost.start({
    cri: { snapshotter: "soci", sandboxImage: `${open.host}/pause:1` },
  });
  await host.stopDaemon();
  const file = `${host.folder}/config.toml`;
  await Deno.writeTextFile(
    file,
    `${await Deno.readTextFile(file)}
[blob]
max_read_wait_sec = 1
[cri_keychain]
enable_keychain = true
image_service_path = "unix://${host.containerd.address}"
`,
  );
  await host.startDaemon();
  await host.reconnected();
  const auth = { username: "anna", password: PASSWORD };
  const service = ImageService.method;
  const names = async (channel: RpcChannel) =>
    (await channel.unary(service.listImages, {})).images
      .flatMap(({ repoTags }) => repoTags);
  const read = (path: string, id: string) =>
    ctrRun(host.containerd, {
      image,
      id,
      namespace: "k8s.io",
      snapshotter: "soci",
      // By its code: what a container prints may be lost on a busy machine.
      args: ["/bin/sh", "-c", `test $(wc -c < ${path}) = 1048576`],
    });
  const reads = async (path: string, id: string) => {
    const { code, stdout, stderr } = await read(path, id);
    assert.equal(code, 0, `${id}: ${stdout}${stderr}${host.logs()}`);
  };
  {
    using kubelet = new CriClient({ ...host.containerd, address: host.socket });
    using channel = new RpcChannel({ socketPath: host.socket });
    await assert.rejects(kubelet.pull(image), /401|authoriz|authentication/i);
    assert.match(await kubelet.pull(image, auth), /sha256:/);
    assert.match(host.logs(), /layer is served/);
    assert.ok(!/left to containerd|containerd unpacks/.test(host.logs()));
    assert.ok((await names(channel)).includes(image));
    const status = await channel.unary(service.imageStatus, {
      image: { image },
    });
    assert.ok(status.image?.repoTags.includes(image));
    const { imageFilesystems } = await channel.unary(service.imageFsInfo, {});
    assert.ok(imageFilesystems.length > 0);
    await reads("/data/one", "before");
  }

  // A pull whose login is refused leaves the one that works.
  {
    using kubelet = new CriClient({ ...host.containerd, address: host.socket });
    await assert.rejects(kubelet.pull(image, { ...auth, password: "wrong" }));
  }

  // A successor gets it from its predecessor.
  await host.takeOver();
  await host.reconnected();
  assert.match(host.logs(), /logins of the kubelet's pulls taken over/);
  await reads("/data/three", "taken");

  // Nowhere but in memory.
  const secrets = [PASSWORD, btoa(`anna:${PASSWORD}`)].join("|");
  const found = await tryRun("grep", [
    // Not in the mounts: that would fetch the layers.
    ...["-raEl", "--devices=skip", "--exclude-dir=fs", secrets],
    ...[host.root, `${host.folder}/daemon.log`],
    ...[`/proc/${host.pid}/cmdline`, `/proc/${host.pid}/environ`],
  ]);
  assert.equal(found.stdout, "");

  // After a kill reads of what is not here fail, and the log says what is needed.
  await host.killDaemon();
  await host.startDaemon();
  await host.reconnected();
  assert.notEqual((await read("/data/two", "after")).code, 0);
  assert.match(
    host.logs(),
    /none is known for it; logins of the kubelet's pulls are kept in memory alone: pull the image again/,
  );
  using kubelet = new CriClient({ ...host.containerd, address: host.socket });
  using channel = new RpcChannel({ socketPath: host.socket });
  await kubelet.pull(image, auth);
  await reads("/data/two", "again");

  await kubelet.remove(image);
  assert.ok(!(await names(channel)).includes(image));
});

testUnless(await erofsRefusal(), {
  name:
    "a pod's annotation says how its image is taken where labels are heard, through the kubelet's image service alone",
  async fn() {
    await using registry = startRegistry();
    await pushImage(registry.host, "pause:1", pauseImage());
    const names = ["heard/app", "heard/direct", "other/app"];
    for (const [seed, name] of names.entries()) {
      await pushImage(
        registry.host,
        `${name}:1`,
        makeImage({
          layers: [
            layerBlob(
              new TarBuilder().file("data", incompressible(2 ** 20, seed + 1)),
            ),
          ],
        }),
      );
      await buildIndex(
        ...["--min-layer-size", "0", "--span-size", "256KiB"],
        `${registry.host}/${name}:1`,
      );
    }
    await using host = await LazyHost.start({
      cri: { snapshotter: "soci", sandboxImage: `${registry.host}/pause:1` },
    });
    await host.stopDaemon();
    const file = `${host.folder}/config.toml`;
    await Deno.writeTextFile(
      file,
      `${await Deno.readTextFile(file)}
[eager]
labels = ["*/heard/*"]
[cri_keychain]
enable_keychain = true
image_service_path = "unix://${host.containerd.address}"
`,
    );
    await host.startDaemon();
    await host.reconnected();
    const annotations = { "soci-deno.policy": "eager" };
    using proxy = new CriClient({ ...host.containerd, address: host.socket });
    using direct = new CriClient(host.containerd);
    const status = async () =>
      await askStatus(`${host.root}/control.sock`) as DaemonStatus;
    const taken = async (client: CriClient, name: string) => {
      const before = (await status()).layers.map(({ slot }) => slot);
      await client.pull(
        `${registry.host}/${name}:1`,
        undefined,
        annotations,
      );
      return (await status()).layers
        .filter(({ slot }) => !before.includes(slot))
        .map(({ whole }) => whole);
    };
    assert.deepEqual(await taken(direct, "heard/direct"), [false]);
    assert.deepEqual(await taken(proxy, "other/app"), [false]);
    assert.deepEqual(await taken(proxy, "heard/app"), [true]);
    const { policies = [] } = await status();
    assert.deepEqual(
      policies.map(({ image, policy, from }) => [image, policy, from]),
      [[`${registry.host}/heard/app:1`, "eager", "pod annotation"]],
    );
  },
});
