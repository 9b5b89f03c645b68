import assert from "node:assert/strict";
import { SHORT_VALUE_FLAGS, VALUE_FLAGS } from "../../../cmd/line.ts";
import {
  briefly,
  flagsOf,
  readHelp,
  usageOf,
} from "../../../tools/manual/help.ts";
import { stale, writeManual } from "../../../tools/manual/mod.ts";
import { isPresent } from "../../support/packages.ts";
import { tryRun } from "../../support/host/mod.ts";
import { testUnless } from "../../support/test_unless.ts";

Deno.test("completion's table and the reference are what the help says", async () => {
  assert.deepEqual(await stale(), [], "run `deno task manual`");
});

Deno.test("the help tells of each flag that takes a value that it does, with its short form", async () => {
  const { commands } = await readHelp();
  const told = commands.flatMap(({ flags }) => flags)
    .filter(({ value }) => value !== null);
  const known = new Set([...VALUE_FLAGS, ...Object.keys(SHORT_VALUE_FLAGS)]);
  for (const { long, short } of told) {
    const name = long.slice(2);
    assert.ok(known.has(name), `${long} takes no value`);
    const letter = SHORT_VALUE_FLAGS[name];
    if (short !== null) assert.equal(short, `-${letter}`, long);
  }
  for (const { words, flags } of commands) {
    for (const { long, value } of flags.filter(({ value }) => value === null)) {
      assert.ok(
        !VALUE_FLAGS.includes(long.slice(2)),
        `${words}: ${long} ${value}`,
      );
    }
  }
});

Deno.test("a help text is read with flags on several lines, and its ways of calling", () => {
  const text = `Do it.

Usage:
  soci-deno do [flags] A   in one way
  soci-deno do --other B

Flags:
  -p, --platform OS/ARCH  this one (may be repeated; default: this
                          machine's)
  --a-long-name-of-a-flag FILE
                          a file; or not
  --quiet                 say nothing

Some words:
    -x
`;
  assert.deepEqual(usageOf(text), [
    "soci-deno do [flags] A",
    "soci-deno do --other B",
  ]);
  assert.deepEqual(flagsOf(text), [
    {
      short: "-p",
      long: "--platform",
      value: "OS/ARCH",
      about: "this one (may be repeated; default: this machine's)",
    },
    {
      short: null,
      long: "--a-long-name-of-a-flag",
      value: "FILE",
      about: "a file; or not",
    },
    { short: null, long: "--quiet", value: null, about: "say nothing" },
  ]);
  assert.equal(briefly("this one (may be repeated; default: x)"), "this one");
  assert.equal(briefly("a file; or not"), "a file");
});

testUnless(isPresent("groff") ? null : "groff is not installed", {
  name: "the manual pages are read without a warning, and each says its name",
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const count = await writeManual(folder);
      const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
      assert.equal(names.length, count);
      assert.ok(names.includes("soci-deno-index-list.1"), names.join(" "));
      const { code, stderr } = await tryRun("groff", [
        ...["-man", "-Tutf8", "-ww", "-z"],
        ...names.map((name) => `${folder}/${name}`),
      ]);
      assert.deepEqual([code, stderr], [0, ""]);
      const { stdout } = await tryRun("groff", [
        ...["-man", "-Tascii", "-P-c", "-P-b", "-P-u"],
        `${folder}/soci-deno-gc.1`,
      ]);
      assert.match(stdout, /soci-deno-gc - remove the caches of layers/);
      assert.match(stdout, /^ {7}--root DIR/m);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
