import assert from "node:assert/strict";
import { LIBC_PATH } from "../../lib/host/os/mod.ts";
import { PERMISSIONS } from "../../cmd/permissions.ts";
import { pauseImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import {
  permissionFlags,
  permissionSets,
  tryRun,
} from "../support/host/mod.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A copy of the program, each command of which loads the attacker. */
async function attackedProgram(
  folder: string,
  attack: Readonly<Record<string, unknown>>,
): Promise<void> {
  await tryRun("cp", [
    "-r",
    ...["main.ts", "cmd", "lib", "deno.json", "deno.lock"].map((name) =>
      `${ROOT}${name}`
    ),
    folder,
  ]);
  // Without the workspace's members, which are not copied.
  const config = JSON.parse(await Deno.readTextFile(`${folder}/deno.json`));
  delete config.workspace;
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  await Deno.copyFile(
    `${ROOT}tests/support/attacker.js`,
    `${folder}/attacker.js`,
  );
  await Deno.writeTextFile(
    `${folder}/attack.json`,
    JSON.stringify({ ATTACK: attack }),
  );
  for (const words of Object.keys(PERMISSIONS)) {
    const module = words.replace(" ", "/").replaceAll("-", "_");
    const up = words.includes(" ") ? "../../" : "../";
    const path = `${folder}/cmd/${module}.ts`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, `import "${up}attacker.js";\n${text}`);
  }
}

/** What the table lets an attacker do: everything else is refused. */
function allowed(words: string): string[] {
  const { parts } = PERMISSIONS[words]!;
  const anywhere = parts.some(({ net }) => net !== undefined && "all" in net);
  const libc = parts.some(({ ffi }) => ffi !== undefined);
  return [
    ...(anywhere ? ["connect elsewhere"] : []),
    ...(libc ? ["load libc"] : []),
  ];
}

Deno.test("an attacker inside a command reads, writes, runs and reaches nothing that the table does not give it", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", pauseImage());
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-attack-" });
  const file = `${folder}-elsewhere`;
  await attackedProgram(folder, {
    ...{ file, libc: LIBC_PATH },
    address: { hostname, port },
  });
  const image = `${registry.host}/app:1`;
  const run = async (words: string, ...args: string[]) => {
    const { stderr } = await tryRun(Deno.execPath(), [
      ...["run", "--no-check", "--no-prompt", "--quiet"],
      "--unstable-worker-options",
      ...permissionFlags(permissionSets()["binary"]!),
      `${folder}/main.ts`,
      ...(words === "create" ? ["soci"] : []),
      ...words.split(" "),
      ...args,
    ], { timeoutMs: 60_000 });
    const told = stderr.split("\n").filter((line) => line.startsWith("ATTACK"))
      .map((line) => JSON.parse(line.slice("ATTACK".length)));
    return { told, stderr };
  };
  // Commands that share their lists are tried once.
  const exact = new Map(
    Object.entries(PERMISSIONS).filter(([, { runs }]) => runs === "worker")
      .map(([words, needs]) => [needs, words]),
  );
  for (const words of exact.values()) {
    await t.step(words, async () => {
      const { told, stderr } = await run(words, "--help");
      assert.deepEqual(
        told,
        [{ when: "load", done: allowed(words) }],
        stderr,
      );
    });
  }
  await t.step("inspect, after its first request", async () => {
    const { told, stderr } = await run("inspect", "--plain-http", image);
    const done = allowed("inspect");
    assert.deepEqual(
      told,
      [{ when: "load", done }, { when: "request", done }],
      stderr,
    );
  });
  await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
  await Deno.remove(folder, { recursive: true });
});
