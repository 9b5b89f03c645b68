/** Newer releases of containerd than the system's: each pulls lazily and runs what it pulled. */
import assert from "node:assert/strict";
import { CriClient, ctrRun, startContainerd } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { debianMirror, newerContainerd } from "../support/peer/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

const DATA = incompressible(2 ** 20);
const SUM = sha256(DATA).slice("sha256:".length);
const COMMAND = ["/bin/busybox", "sha256sum", "/data/file"];

const image = () =>
  makeImage({
    layers: [
      layerBlob(addBusybox(new TarBuilder())),
      layerBlob(new TarBuilder().dir("data").file("data/file", DATA)),
    ],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  });

const noPackages = debianMirror() === undefined
  ? "newer containerds come from Debian's archive, and this is another system"
  : null;
const noErofs = await erofsRefusal();

for (const version of ["1.7", "2"] as const) {
  for (const face of ["fuse", "erofs"] as const) {
    testUnless(noPackages ?? (face === "erofs" ? noErofs : null), {
      name:
        `containerd ${version} pulls lazily through Kubernetes' interface and runs it (${face})`,
      async fn() {
        const newer = await newerContainerd(version);
        assert.ok("binDir" in newer, JSON.stringify(newer));
        await using registry = startRegistry();
        await pushImage(registry.host, "pause:1", pauseImage());
        await pushImage(registry.host, "app:1", image());
        const name = `${registry.host}/app:1`;
        await buildIndex("--min-layer-size", "0", name);
        await using host = await LazyHost.start({ face });
        await using containerd = await startContainerd({
          binDir: newer.binDir,
          proxySnapshotters: [
            { name: "soci", address: `${host.folder}/soci.sock` },
          ],
          cri: {
            snapshotter: "soci",
            sandboxImage: `${registry.host}/pause:1`,
          },
        });
        assert.ok((await containerd.ctr("version")).includes(`${version}.`));
        using cri = new CriClient(containerd);
        await cri.pull(name);
        assert.match(host.logs(), /layer is served/);
        await using container = await cri.run({
          image: name,
          command: COMMAND,
        });
        const { code, stdout, stderr } = await container.ended();
        assert.equal(code, 0, `${stderr}\n${host.logs()}`);
        assert.ok(stdout.startsWith(SUM), stdout);
        const ran = await ctrRun(containerd, {
          image: name,
          id: "by-ctr",
          snapshotter: "soci",
          namespace: "k8s.io",
          args: COMMAND,
        });
        assert.ok(ran.stdout.startsWith(SUM), ran.stderr);
      },
    });
  }
}
