import assert from "node:assert/strict";
import { plainPermissions } from "../../../lib/telemetry/mod.ts";

Deno.test("what the runtime says of a permission is told without its advice", () => {
  const plain = (wanted: string) =>
    `it wants ${wanted}, which this command does not have (docs/security.md lists what each may do; what is named after a start is in force after a restart)`;
  for (
    const [said, told] of [
      [
        'Requires read access to "/a/b", run again with the --allow-read flag',
        plain('read access to "/a/b"'),
      ],
      [
        'cannot read /a: NotCapable: Requires net access to "h:80", specify the required permissions during compilation using `deno compile --allow-net`: more',
        `cannot read /a: ${plain('net access to "h:80"')}: more`,
      ],
      [
        "NotCapable: Requires --allow-run permissions to spawn subprocess with LD_PRELOAD environment variable. Alternatively, spawn with the environment variable unset.",
        "it may run no program while LD_PRELOAD is in its environment",
      ],
      [
        "Requires a login, says the registry",
        "Requires a login, says the registry",
      ],
    ] as const
  ) assert.equal(plainPermissions(said), told);
});

Deno.test("what this runtime says is known", async () => {
  const said = Promise.withResolvers<string[]>();
  const worker = new Worker(
    `data:text/javascript,${
      encodeURIComponent(`
const said = [];
for (const attempt of [
  () => Deno.readTextFileSync("/etc/shadow"),
  () => Deno.writeTextFileSync("/etc/shadow", ""),
  () => Deno.env.get("HOME"),
  () => Deno.listen({ port: 1 }),
  () => new Deno.Command("/bin/true").outputSync(),
  () => Deno.dlopen("/lib/no", {}),
]) {
  try { attempt(); } catch (error) { said.push(String(error)); }
}
postMessage(said);`)
    }`,
    { type: "module", deno: { permissions: "none" } },
  );
  worker.onmessage = ({ data }) => said.resolve(data);
  const all = await said.promise;
  worker.terminate();
  assert.equal(all.length, 6);
  for (const one of all) {
    assert.match(plainPermissions(one), /^it wants .* does not have/);
    assert.doesNotMatch(plainPermissions(one), /--allow|NotCapable/);
  }
});
