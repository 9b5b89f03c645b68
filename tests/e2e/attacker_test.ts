import assert from "node:assert/strict";
import { LIBC_PATH } from "../../lib/host/os/mod.ts";
import { grantsOf, type Kind } from "../../cmd/grants.ts";
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
  await Deno.writeTextFile(
    `${folder}/attacker.js`,
    `import { FetchedNetwork } from "./lib/remote/registry/mod.ts";
const ATTACK = ${JSON.stringify(attack)};
${await Deno.readTextFile(`${ROOT}tests/support/attacker.js`)}`,
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
  const has = (kind: Kind) => grantsOf(parts, null)[kind] !== undefined;
  if (PERMISSIONS[words]!.runs === "worker") {
    return has("ffi") ? ["load libc"] : [];
  }
  return [
    ...(has("read") ? ["read elsewhere"] : []),
    ...(has("write") ? ["write elsewhere"] : []),
    ...(has("run") ? ["run a program"] : []),
    ...(has("net") ? ["connect elsewhere", "fetch from elsewhere"] : []),
    ...(has("ffi") ? ["load libc"] : []),
    ...(has("read") ? ["ask for more"] : []), // it has all of that kind
  ];
}

Deno.test("an attacker inside a command reads, writes, runs and reaches nothing that the table does not give it", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", pauseImage());
  await using elsewhere = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("reached"),
  );
  const { hostname, port } = elsewhere.addr as Deno.NetAddr;
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
  const different = new Map(
    Object.entries(PERMISSIONS).map(([words, needs]) => [needs, words]),
  );
  for (const words of different.values()) {
    await t.step(words, async () => {
      const { told, stderr } = await run(words, "--help");
      assert.deepEqual(
        told,
        [{ when: "load", done: allowed(words) }],
        stderr,
      );
      const written = await Deno.remove(file).then(() => true, () => false);
      assert.equal(written, allowed(words).includes("write elsewhere"));
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
  await assert.rejects(Deno.stat(file), Deno.errors.NotFound); // after the request, too
  await Deno.remove(folder, { recursive: true });
});
