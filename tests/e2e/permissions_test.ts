import assert from "node:assert/strict";
import { COMMANDS } from "../../cmd/mod.ts";
import {
  permissionFlags,
  permissionSets,
  tryRun,
} from "../support/host/mod.ts";
import { sociDeno } from "./host.ts";

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
