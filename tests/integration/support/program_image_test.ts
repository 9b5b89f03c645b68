import assert from "node:assert/strict";
import {
  ctrPull,
  ctrRun,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import { programImage, pushImage } from "../../support/images/mod.ts";

Deno.test("the program image runs Python", async () => {
  const program = programImage();
  assert.equal(program.layers.length, 4);
  await using registry = await startDockerRegistry();
  await pushImage(registry.host, "program:1", program);
  await using containerd = await startContainerd();
  const image = `${registry.host}/program:1`;
  await ctrPull(containerd, image);

  const own = await ctrRun(containerd, { image, id: "own" });
  assert.deepEqual([own.stderr, own.stdout], [
    "",
    '{"sum": 5050, "version": 3}\n',
  ]);
  const more = await ctrRun(containerd, {
    image,
    id: "more",
    args: ["python3", "-c", "import ssl, sqlite3, decimal; print('imported')"],
  });
  assert.deepEqual([more.stderr, more.stdout], ["", "imported\n"]);
});
