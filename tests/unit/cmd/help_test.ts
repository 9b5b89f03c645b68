import assert from "node:assert/strict";
import { permissionFlags, permissionSets } from "../../support/host/mod.ts";

/** Runs a command line under the permissions of one subcommand, with nothing on standard input. */
async function run(set: string, args: readonly string[], input = "") {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-check", "--no-prompt", "--quiet"],
      "--unstable-worker-options",
      ...permissionFlags(permissionSets()[set]!),
      new URL("../../../main.ts", import.meta.url).pathname,
      ...args,
    ],
    env: { SOCI_DENO_DEBUG: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close().catch(() => {}); // it did not read to the end
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("help is a flag, not a word anywhere on the line", async () => {
  const asked = [
    ["-h"],
    ["--help"],
    ["--quiet", "-h"],
    ["-qh"],
    ["--no-such-flag", "--help"],
    ["registry.example/a:1", "--help"],
    ["--namespace=x", "-h", "--", "a"],
  ];
  for (const args of asked) {
    const { code, out } = await run("pull", ["pull", ...args]);
    assert.equal(code, 0, args.join(" "));
    assert.match(out, /^Usage: soci-deno pull/m, args.join(" "));
  }
});

Deno.test("a flag's value and what stands after -- ask for no help", async () => {
  const lines = [
    ["pull", "--namespace", "-h", "registry.example/a:1"],
    ["pull", "-n", "--help", "registry.example/a:1"],
    ["pull", "-u", "-h", "registry.example/a:1"],
    ["pull", "--namespace=-h"],
    ["config", "dump", "--config", "-h"],
    ["build-index", "--", "-h", "--help"],
  ];
  for (const args of lines) {
    const { code, out, err } = await run(args[0]!, args);
    assert.equal(code, 2, `${args.join(" ")}: ${out}${err}`);
    assert.equal(out, "");
    assert.equal(err.trimEnd().split("\n").length, 1, err);
  }
});

Deno.test("a value that begins with a dash is taken where it is written with an equals sign", async () => {
  const { code, err } = await run("config", ["config", "dump", "--config=-h"]);
  assert.equal(code, 1);
  assert.match(err, /^soci-deno config: cannot read configuration -h/);
  const spaced = await run("config", ["config", "dump", "--config", "-h"]);
  assert.match(spaced.err, /--config=VALUE/);
});

Deno.test("a command that fails says why, also where it may not read the environment", async () => {
  const { code, err } = await run(
    "mount-helper",
    ["mount-helper", String(Deno.pid)],
    "no JSON\n",
  );
  assert.equal(code, 1, err);
  assert.match(err, /^soci-deno mount-helper: /);
  assert.doesNotMatch(err, /NotCapable/);
});

Deno.test("a containerd that is not there is told once, with its socket", async () => {
  const { code, err } = await run("pull", [
    ...["pull", "--address", "unix:///no/such/socket"],
    "registry.example/a:1",
  ]);
  assert.equal(code, 1);
  const [line = ""] = err.split("\n");
  assert.equal(line.match(/No connection established/g)?.length, 1, line);
  assert.match(line, /\/no\/such\/socket/);
});
