/** Programs that copy what an image has: volumes of Kubernetes' interface, and the usual tools. */
import assert from "node:assert/strict";
import { CriClient, run, tryRun } from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { onEveryFace } from "../support/erofs/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";
import { Mounted } from "./mounted.ts";

/** No file has an extended attribute. */
function imageWithVolume(): Image {
  return makeImage({
    layers: [
      layerBlob(addBusybox(new TarBuilder())),
      layerBlob(
        new TarBuilder().dir("data", { mode: 0o750, uid: 1000, gid: 1000 })
          .file("data/seed", "seed\n", { uid: 1000 })
          .symlink("data/link", "seed").dir("data/sub", { mode: 0o700 }),
      ),
    ],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"], volumes: ["/data"] },
  });
}

onEveryFace(
  "a volume of an image without extended attributes is filled from it",
  async (face) => {
    await using registry = startRegistry();
    await pushImage(registry.host, "pause:1", pauseImage());
    await pushImage(registry.host, "volume:1", imageWithVolume());
    const image = `${registry.host}/volume:1`;
    await buildIndex("--min-layer-size", "0", image);
    await using host = await LazyHost.start({
      face,
      cri: { snapshotter: "soci", sandboxImage: `${registry.host}/pause:1` },
    });
    using cri = new CriClient(host.containerd);
    await cri.pull(image);
    await using container = await cri.run({
      image,
      command: [
        ...["/bin/busybox", "sh", "-c"],
        "cat /data/seed /data/link && stat -c '%a %u' /data /data/sub && touch /data/new",
      ],
    });
    const { code, stdout, stderr } = await container.ended();
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "seed\nseed\n750 1000\n700 0\n");
  },
);

onEveryFace(
  "programs that copy attributes find none, and no error",
  async (face) => {
    await using registry = startRegistry();
    await pushImage(registry.host, "volume:1", imageWithVolume());
    const image = `${registry.host}/volume:1`;
    await buildIndex("--min-layer-size", "0", image);
    await using mounted = await Mounted.start(image, face);
    const to = await Deno.makeTempDir({ prefix: "soci-deno-copy-" });
    try {
      const from = `${mounted.directory}/data`;
      for (
        const command of [
          `cp -a --preserve=all ${from} ${to}/cp`,
          `tar --xattrs --acls -C ${from} -cf - . | tar --xattrs --acls -C ${to} -xf -`,
          `getfattr -R -h -d -m - ${from}`,
          `getfacl -R -p ${from}`,
          `! command -v rsync || rsync -aX ${from}/ ${to}/rsync`,
        ]
      ) {
        const { code, stderr } = await tryRun("sh", ["-c", command], {
          timeoutMs: 20_000,
        });
        assert.equal(code, 0, `${command}: ${stderr}`);
        assert.equal(stderr, "", command);
      }
      const { stdout } = await run("cat", [`${to}/cp/seed`, `${to}/seed`]);
      assert.equal(stdout, "seed\nseed\n");
    } finally {
      await Deno.remove(to, { recursive: true });
    }
  },
);
