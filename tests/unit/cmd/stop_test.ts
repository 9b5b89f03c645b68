import assert from "node:assert/strict";
import { permissionFlags, permissionSets } from "../../support/host/mod.ts";

/** Runs a command line until it asks a registry that never answers, and then sends it a signal. */
async function interrupted(
  signal: Deno.Signal,
  line: (host: string) => readonly string[],
) {
  using registry = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = line(`127.0.0.1:${registry.addr.port}`);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-check", "--no-prompt", "--quiet"],
      "--unstable-worker-options",
      ...permissionFlags(permissionSets()[args[0]!]!),
      new URL("../../../main.ts", import.meta.url).pathname,
      ...args,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  using _ = await registry.accept();
  child.kill(signal);
  const { code, stderr } = await child.output();
  return { code, error: new TextDecoder().decode(stderr) };
}

Deno.test("commands that ask a registry end at Ctrl-C and SIGTERM with one line", async () => {
  assert.deepEqual(
    await interrupted("SIGINT", (host) => ["order", "list", `${host}/app:1`]),
    { code: 1, error: "soci-deno order list: interrupted by SIGINT\n" },
  );
  assert.deepEqual(
    await interrupted("SIGTERM", (host) => [
      ...["order", "remove", "--workload", "web", `${host}/app:1`],
    ]),
    { code: 1, error: "soci-deno order remove: interrupted by SIGTERM\n" },
  );
});
