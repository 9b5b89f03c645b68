import assert from "node:assert/strict";

const SCRIPT = new URL("./leaving_clients.ts", import.meta.url).pathname;
const CONFIG = new URL("../../../../deno.json", import.meta.url).pathname;
/** Enough: without the guard every second run of them kills the server. */
const ROUNDS = 12;
const AT_ONCE = 3;

function start(what: string, socketPath: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--quiet", "--config", CONFIG],
      ...["--v8-flags=--expose-gc", SCRIPT, what, socketPath],
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

Deno.test("a server outlives clients that leave, however many", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-guard-" });
  const server = start("serve", `${folder}/socket`);
  const reader = server.stdout.getReader();
  await reader.read(); // serving
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      const { success, stderr } = await start("leave", `${folder}/socket`)
        .output();
      assert.ok(success, new TextDecoder().decode(stderr));
    }));
  }
  await server.stdin.close().catch(() => {}); // it is gone
  reader.releaseLock();
  await server.stdout.cancel();
  const errors = await new Response(server.stderr).text();
  assert.ok((await server.status).success, errors);
  await Deno.remove(folder, { recursive: true });
});
