import assert from "node:assert/strict";
import { COMMANDS } from "../../cmd/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import {
  permissionFlags,
  permissionSets,
  sociDenoCommand,
  tryRun,
} from "../support/host/mod.ts";
import { buildIndex, CONFIG, LazyHost, sociDeno } from "./host.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

for (const { name } of COMMANDS) {
  Deno.test(`\`${name} --help\` needs no more than the set of ${name}`, async () => {
    const { code, stdout, stderr } = await tryRun(Deno.execPath(), [
      ...["run", "--no-check", "--no-prompt", "--quiet"],
      "--unstable-worker-options",
      ...permissionFlags(permissionSets()[name]!),
      MAIN,
      name,
      "--help",
    ], { timeoutMs: 30_000 });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Usage:/);
  });
}

Deno.test("a wrong flag, a wrong word and a wrong value are wrong usage: exit 2, one line", async () => {
  const lines = [
    ["mount", "--nonsense", "a/b:1", "/tmp"],
    ["mount", "a/b:1"],
    ["build-index"],
    ["build-index", "--span-size", "much", "a/b:1"],
    ["build-index", "--platform", "linux/amd64", "--all-platforms", "a/b:1"],
    ["pull"],
    ["serve", "extra"],
    ["serve", "--log-level", "loud"],
    ["config", "nothing"],
    ["umount"],
    ["no-such-command"],
  ];
  for (const line of lines) {
    const { code, stdout, stderr } = await sociDeno(...line);
    assert.equal(code, 2, `${line.join(" ")}: ${stderr}`);
    assert.equal(stdout, "");
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.match(stderr, /^soci-deno/);
  }
});

Deno.test("what a command may not do is told in one line, without flags or advice that the user cannot follow", async () => {
  const { code, stderr } = await tryRun(Deno.execPath(), [
    ...["run", "--no-check", "--no-prompt", "--quiet"],
    ...["--unstable-worker-options", "--allow-env"],
    ...[`--allow-read=${new URL("../../", import.meta.url).pathname}`, MAIN],
    ...["status", "--root", "/no/such/root"],
  ], { timeoutMs: 30_000 });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^soci-deno status: it wants read access to "[^"]*", which this command does not have [^\n]*\n$/,
  );
  assert.doesNotMatch(stderr, /--allow|compil/);
});

Deno.test("with [network] hosts a command asks these, and no other host that its line names or its registry leads to", async () => {
  await using registry = startRegistry({ redirect: { lifeMs: 60_000 } });
  await pushImage(registry.host, "app:1", pauseImage());
  const config = await Deno.makeTempFile();
  const { port } = new URL(`http://${registry.host}`);
  /** Reads the manifest, and layers, which lie elsewhere. */
  const build = async (...hosts: string[]) => {
    await Deno.writeTextFile(
      config,
      `[network]\nhosts = ${JSON.stringify(hosts)}\n`,
    );
    const { program, args } = sociDenoCommand(
      ...["build-index", "--plain-http", "--min-layer-size=0"],
      ...[`--root=${config}.root`, `${registry.host}/app:1`],
    );
    return await tryRun(program, args, {
      timeoutMs: 60_000,
      env: { SOCI_SNAPSHOTTER_CONFIG: config },
    });
  };
  const refused = /is not among \[network\] hosts/;
  const none = await build("registry.example");
  assert.equal(none.code, 1);
  assert.match(none.stderr, refused);
  assert.match(none.stderr, new RegExp(`:${port} is not among`));
  const before = registry.requests.length;
  const some = await build(registry.host);
  assert.equal(some.code, 1);
  assert.match(some.stderr, refused);
  assert.ok(registry.requests.length > before); // the registry itself is asked
  assert.ok(registry.requests.every(({ server }) => server === "registry"));
  assert.match((await build("no/host")).stderr, /network\.hosts/);
  await Deno.remove(config);
  await Deno.remove(`${config}.root`, { recursive: true });
});

Deno.test("with [network] hosts the daemon serves images of these, tells its metrics, and takes nothing from others", async () => {
  await using registry = startRegistry();
  await using other = startRegistry();
  const [image, beyond] = [registry, other].map(({ host }) => `${host}/app:1`);
  for (const { host } of [registry, other]) {
    const seed = host === registry.host ? 1 : 2;
    const layer = new TarBuilder()
      .file("data", incompressible(2 ** 20, seed));
    await pushImage(host, "app:1", makeImage({ layers: [layerBlob(layer)] }));
    await buildIndex("--min-layer-size", "0", `${host}/app:1`);
  }
  using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr as Deno.NetAddr;
  free.close();
  await using host = await LazyHost.start({
    // With such a variable the runtime starts no program that is only on a list.
    daemon: { env: { LD_LIBRARY_PATH: "/no/such" } },
    config: `metrics_address = "127.0.0.1:${port}"
debug_address = "127.0.0.1:0"
${CONFIG}
[network]
hosts = ["${registry.host}"]
`,
  });
  const outcomes = async (name: string) =>
    (await host.pull(name)).layers.map(({ outcome }) => outcome);
  assert.deepEqual(await outcomes(image!), ["served"]);
  assert.deepEqual(await outcomes(beyond!), ["unpacked"]);
  const metrics = await fetch(`http://127.0.0.1:${port}/metrics`);
  assert.match(await metrics.text(), /soci_/);
  assert.doesNotMatch(
    host.logs(),
    /(?:metrics|debugging|helper) cannot be|--allow|does not have/,
  );
  assert.match(host.logs(), /is not among \[network\] hosts/);
});
