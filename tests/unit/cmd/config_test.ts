import assert from "node:assert/strict";
import { parseConfig } from "../../../lib/config/load.ts";

async function run(
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-lock",
      "--allow-read",
      "--allow-env",
      "main.ts",
      ...args,
    ],
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("`config dump` prints a file's effective values and names its unknown keys", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".toml" });
  Deno.writeTextFileSync(file, "mount_timeout_sec = 7\nnonsense = 1\n");
  const { code, out, err } = await run("config", "dump", "--config", file);
  assert.equal(code, 0, err);
  assert.equal(parseConfig(out, "out").config.mount_timeout_sec, 7);
  assert.match(err, /:2: nonsense: unknown key/);
  Deno.removeSync(file);
});

Deno.test("`config` with a missing file exits with 1 and one clear line", async () => {
  const { code, err } = await run(
    "config",
    "dump",
    "--config",
    "/nonexistent.toml",
  );
  assert.equal(code, 1);
  assert.match(
    err,
    /^soci-deno config: cannot read configuration \/nonexistent\.toml/,
  );
  assert.equal(err.trim().split("\n").length, 1);
});

Deno.test("`config` with a wrong word exits with 2", async () => {
  assert.equal((await run("config", "sideways")).code, 2);
});

Deno.test("`config check` tells all findings and exits with 1; without any, with 0", async () => {
  const file = Deno.makeTempFileSync({ suffix: ".toml" });
  Deno.writeTextFileSync(file, "http_cache_type = 'x'\nnonsense = 1\n");
  const bad = await run("config", "check", "--config", file);
  assert.equal(bad.code, 1);
  assert.deepEqual(
    bad.out.trim().split("\n").map((line) => line.split(":")[1]),
    ["1", "2"],
  );
  const json = await run("config", "check", "--json", "--config", file);
  assert.equal(JSON.parse(json.out).findings.length, 2);
  Deno.writeTextFileSync(file, "mount_timeout_sec = 7\n");
  const good = await run("config", "check", "--config", file);
  assert.equal(good.code, 0, good.out);
  Deno.removeSync(file);
});

Deno.test("docs/configuration.md is what `config reference` prints", async () => {
  const plain = (text: string) =>
    text.replace(/ +\|/g, " |").replace(/\| -+/g, "| ---");
  assert.equal(
    plain(Deno.readTextFileSync("docs/configuration.md")),
    plain((await run("config", "reference")).out),
    "run `deno task configuration`",
  );
});
