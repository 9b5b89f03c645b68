import assert from "node:assert/strict";
import {
  CriClient,
  leftovers,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import { pauseImage, pushImage } from "../../support/images/mod.ts";

Deno.test("containerd runs a pod as kubelet asks for it, and nothing stays", async () => {
  await using registry = await startDockerRegistry();
  await pushImage(registry.host, "pause:1", pauseImage());
  const image = `${registry.host}/pause:1`;
  let folder: string;
  {
    await using containerd = await startContainerd({
      cri: { snapshotter: "overlayfs", sandboxImage: image },
    });
    folder = containerd.folder;
    using cri = new CriClient(containerd);
    assert.match(await cri.pull(image), /sha256:/);
    {
      await using sleeping = await cri.run({ image });
      const said = await sleeping.exec("/bin/sh", "-c", "echo hi; exit 4");
      assert.deepEqual(said, { code: 4, stdout: "hi\n", stderr: "" });
    }
    await using short = await cri.run({
      image,
      command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 5"],
    });
    assert.deepEqual(await short.ended(), {
      code: 5,
      stdout: "out\n",
      stderr: "err\n",
    });
    await cri.run({ image }); // left for containerd's own clean-up
  }
  assert.deepEqual(leftovers(folder), {
    mounts: [],
    processes: [],
    sockets: [],
  });
});
