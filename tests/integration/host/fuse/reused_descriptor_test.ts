import assert from "node:assert/strict";
import { closeFd, fileSize, O, openFd } from "../../../../lib/host/os/mod.ts";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE } from "./support.ts";

/** Stays in a folder, and asks for names there once it is told to. */
const STAYS = `
import os, sys
os.chdir(sys.argv[1])
print("there", flush=True)
sys.stdin.readline()
for n in range(4):
    try: os.lstat(f"missing-{n}")
    except OSError: pass
    print("asked", flush=True)
`;

Deno.test({
  name:
    "a mount that a process keeps is closed, and its Workers write nothing into the next file that is opened",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    const layer = await Layer.serve("fuse", entries, data);
    const folder = await Deno.makeTempDir();
    const child = new Deno.Command("/usr/bin/python3", {
      args: ["-c", STAYS, layer.directory],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const said = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const files: number[] = [];
    try {
      assert.match((await said.read()).value!, /there/);
      await layer[Symbol.asyncDispose]();
      for (let n = 0; n < 8; n++) {
        files.push(openFd(`${folder}/${n}`, O.RDWR | O.CREAT));
      }
      const order = child.stdin.getWriter();
      await order.write(new TextEncoder().encode("ask\n"));
      await Promise.race([
        said.read(),
        new Promise((resolve) => setTimeout(resolve, 1500)),
      ]);
      assert.deepEqual(files.map(fileSize), files.map(() => 0));
    } finally {
      child.kill("SIGKILL");
      for (const fd of files) closeFd(fd);
      await Deno.remove(folder, { recursive: true });
    }
  },
});
