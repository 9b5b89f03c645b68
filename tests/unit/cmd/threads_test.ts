import assert from "node:assert/strict";
import { readLine } from "../../../cmd/line.ts";
import { LAYER_THREADS, readyThreads } from "../../../cmd/threads.ts";

Deno.test("whoever asks for a thread that reads a file says which file of the root it is, and gets no other", async () => {
  const folder = await Deno.makeTempDir();
  const root = `${folder}/root`;
  await Deno.mkdir(`${root}/fs`, { recursive: true });
  await Deno.writeTextFile(`${root}/fs/data`, "");
  await Deno.writeTextFile(`${folder}/root-of-others`, "");
  await Deno.symlink("/etc/shadow", `${root}/link`);
  const line = { ...readLine([]), root: () => root };
  const { starters, kinds } = await readyThreads(
    LAYER_THREADS,
    line,
    undefined,
    [],
  );
  assert.deepEqual([...kinds].sort(), ["ffi", "read", "write"]);
  for (
    const given of [
      ...[null, "", "/etc/shadow", root, `${root}/`, `${root}/no-such`],
      ...[`${root}/../root-of-others`, `${folder}/root-of-others`],
      ...[`${root}/link`, `${root}/fs/../link`, `${root}//fs/data`],
    ]
  ) {
    await assert.rejects(async () => {
      const worker = await starters["layer hasher"]!(given);
      (worker as Worker).terminate();
    }, String(given));
  }
  const worker = await starters["layer hasher"]!(`${root}/fs/data`);
  assert.ok(worker instanceof Worker);
  worker.terminate();
  await Deno.remove(folder, { recursive: true });
});
