import assert from "node:assert/strict";
import {
  CriClient,
  ctrPull,
  ctrRun,
  leftovers,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import { pauseImage, pushImage } from "../../support/images/mod.ts";
import { newerContainerd, testOnDebian } from "../../support/peer/mod.ts";

for (const version of ["1.7", "2"] as const) {
  testOnDebian(
    `containerd ${version} pulls, runs, and serves Kubernetes`,
    async () => {
      const newer = await newerContainerd(version);
      assert.ok("binDir" in newer, JSON.stringify(newer));
      await using registry = await startDockerRegistry();
      await pushImage(registry.host, "pause:1", pauseImage());
      const image = `${registry.host}/pause:1`;
      let folder: string;
      {
        await using containerd = await startContainerd({
          binDir: newer.binDir,
          cri: { snapshotter: "overlayfs", sandboxImage: image },
        });
        folder = containerd.folder;
        assert.ok((await containerd.ctr("version")).includes(`${version}.`));
        await ctrPull(containerd, image);
        const ran = await ctrRun(containerd, {
          image,
          id: "once",
          args: ["/bin/echo", "hello"],
        });
        assert.equal(ran.stdout, "hello\n");
        using cri = new CriClient(containerd);
        await cri.pull(image);
        await using pod = await cri.run({ image });
        assert.equal((await pod.exec("/bin/echo", "pod")).stdout, "pod\n");
      }
      assert.deepEqual(leftovers(folder), {
        mounts: [],
        processes: [],
        sockets: [],
      });
    },
  );
}
