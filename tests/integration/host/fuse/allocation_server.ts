/**
 * Serves a layer whose file lies beyond 4 GiB, for allocation_test.ts: in a process of its own, since
 * V8 tells of collections for a whole process.
 *
 * usage: allocation_server.ts FOLDER
 * @module
 */
import { LayerTree } from "../../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";
import { LayerFileSystem } from "../../../../lib/layers/fs/mod.ts";
import { PRESENT } from "../../../../lib/layers/presence/mod.ts";
import { closeFd, O, openFd, truncateFd } from "../../../../lib/host/os/mod.ts";
import { entry } from "../../../unit/layers/tree/support.ts";

const [folder] = Deno.args as [string];
const offset = 5 * 2 ** 30 + 512;
const size = 4 * 2 ** 20;
const spanStarts = Array.from({ length: 6 }, (_, i) => i * 2 ** 30);
const bytes = compileTree({
  entries: [
    entry({
      name: "file",
      offset,
      size,
      xattrs: { "SCHILY.xattr.user.a": "b" },
    }),
    entry({ name: "d/", type: "dir" }),
    ...Array.from({ length: 300 }, (_, i) => entry({ name: `d/${i}` })),
  ],
  spanStarts,
  dataSize: offset + size,
});
Deno.mkdirSync(`${folder}/layers/1`, { recursive: true });
Deno.writeFileSync(`${folder}/layers/1/tree`, bytes);
const fd = openFd(`${folder}/layers/1/data`, O.RDWR | O.CREAT);
truncateFd(fd, offset + size);
closeFd(fd);
{
  await using system = await LayerFileSystem.start({
    layersDirectory: `${folder}/layers`,
    mountDirectory: `${folder}/fs`,
    workersPerMount: 1,
  });
  const { directory, presence } = system.add({
    slot: 1,
    spanCount: spanStarts.length,
    hasXattrs: true,
    copy: () => false,
    ensure: () => Promise.reject(new Error("all is here")),
  }, new LayerTree(bytes));
  presence.fill(PRESENT);
  console.error(directory);
  for await (const _ of Deno.stdin.readable);
}
Deno.exit(0);
