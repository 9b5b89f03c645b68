import assert from "node:assert/strict";
import { splitLeadingFlags } from "../../../cmd/flags.ts";
import {
  type CommandEntry,
  COMMANDS,
  SOCI_COMMANDS,
} from "../../../cmd/mod.ts";
import {
  sociDenoCommand,
  sociDenoNamed,
  tryRun,
} from "../../support/host/mod.ts";
import { SOCI_RELEASE } from "../../support/peer/release.ts";
import { ago, parseDuration, table } from "../../../cmd/table.ts";

Deno.test("a table has the existing tools' widths", () => {
  assert.equal(
    table([["DIGEST", "SIZE"], ["sha256:0123", "7"]]),
    "DIGEST         SIZE    \nsha256:0123    7       ",
  );
  assert.equal(table([["A"]]), "A       ");
});

Deno.test("ages are told in hours, minutes and seconds", () => {
  const then = new Date(1_000_000);
  const after = (seconds: number) => ago(then, 1_000_000 + seconds * 1000);
  assert.equal(after(0.9), "0s ago");
  assert.equal(after(84), "1m24s ago");
  assert.equal(after(3600), "1h0m0s ago");
  assert.equal(after(90_061), "25h1m1s ago");
  assert.equal(after(-5), "0s ago");
});

Deno.test("a duration takes Go's units and nothing else", () => {
  assert.equal(parseDuration("0"), 0);
  assert.equal(parseDuration("30s"), 30_000);
  assert.equal(parseDuration("1h2m3.5s"), 3_723_500);
  assert.equal(parseDuration("250ms"), 250);
  for (const bad of ["", "5", "s", "1d", "-1s", "1s x", "1 s"]) {
    assert.equal(parseDuration(bad), null, bad);
  }
});

Deno.test("global flags before a command are split off with their values", () => {
  assert.deepEqual(
    splitLeadingFlags(["-a", "/s", "--namespace=x", "--debug", "create", "-p"]),
    {
      leading: ["-a", "/s", "--namespace=x", "--debug"],
      rest: ["create", "-p"],
    },
  );
  assert.deepEqual(splitLeadingFlags(["--version"]), {
    leading: [],
    rest: ["--version"],
  });
  assert.deepEqual(splitLeadingFlags(["create", "-a", "x"]).leading, []);
});

Deno.test("every command has a help that says how it is used", async () => {
  const visit = async (entries: readonly CommandEntry[]): Promise<number> => {
    let count = 0;
    for (const entry of entries) {
      if ("commands" in entry) count += await visit(entry.commands);
      else {
        const { help } = await entry.load();
        assert.match(help, /^Usage:/m, entry.name);
        assert.doesNotMatch(help, /undefined|\$\{/, entry.name);
        count++;
      }
    }
    return count;
  };
  assert.ok(await visit(COMMANDS) > 15);
  await visit(SOCI_COMMANDS);
});

Deno.test("the existing tool's words are all known under its name", () => {
  const words = (entries: readonly CommandEntry[]): string[] =>
    entries.flatMap((entry) => [
      entry.name,
      ...entry.aliases ?? [],
      ...("commands" in entry
        ? words(entry.commands).map((word) => `${entry.name} ${word}`)
        : []),
    ]);
  const known = new Set(words(SOCI_COMMANDS));
  for (
    const word of [
      ...["create", "convert", "push", "rebuild-db"],
      ...["index list", "index ls", "index info", "index remove", "index rm"],
      ...["ztoc list", "ztoc ls", "ztoc info", "ztoc get-file"],
      ...["prefetch list", "prefetch ls", "prefetch info"],
    ]
  ) assert.ok(known.has(word), word);
});

/** Runs a command line under the existing tool's name. */
async function soci(...args: string[]) {
  const { program, args: all } = sociDenoCommand("soci", ...args);
  return await tryRun(program, all, { timeoutMs: 30_000 });
}

Deno.test("`soci --version` says the release it stands for, as others parse it", async () => {
  const { code, stdout } = await soci("--version");
  assert.equal(code, 0);
  assert.match(stdout, /^soci version v\d+\.\d+\.\d+ \S+\n$/);
  // nerdctl takes the first number, and wants 0.10.0 at least.
  assert.equal(/v?(\d+\.\d+\.\d+)/.exec(stdout)![1], SOCI_RELEASE.slice(1));
});

Deno.test("under the name `soci` no word shows the commands, and an unknown one ends with 3", async () => {
  const none = await soci();
  assert.equal(none.code, 0, none.stderr);
  assert.match(none.stdout, /Usage: soci <command>/);
  for (const words of [["nonsense"], ["index", "nonsense"]]) {
    const { code, stdout, stderr } = await soci(...words);
    assert.deepEqual([code, stdout, stderr], [
      3,
      "",
      "No help topic for 'nonsense'\n",
    ]);
  }
});

Deno.test("a link named soci-snapshotter-grpc starts the daemon by the lines of the existing units", async () => {
  const folder = await Deno.makeTempDir();
  const { program, args } = await sociDenoNamed(
    folder,
    "soci-snapshotter-grpc",
  );
  const daemon = (...more: string[]) =>
    tryRun(program, [...args, ...more], { timeoutMs: 30_000 });
  const version = await daemon("--version");
  assert.match(version.stdout, /^soci-snapshotter-grpc version v\d+\.\d+/);
  const root = await Deno.makeTempDir();
  const line = ["--address", "fd://", "--root", root, "--log-level", "warning"];
  const unheard = await daemon(...line);
  assert.equal(unheard.code, 2);
  assert.match(
    unheard.stderr,
    /^soci-snapshotter-grpc: fd:\/\/ takes one socket .* gave none/,
  );
  const config = await daemon("config", "default");
  assert.match(config.stdout, /^\[pull_modes\.soci_v1\]$/m);
  await Deno.remove(root);
  await Deno.remove(folder, { recursive: true });
});
