import assert from "node:assert/strict";
import {
  type Config,
  ConfigError,
  defaultConfig,
  dumpConfig,
  loadConfig,
} from "../../../lib/config/mod.ts";
import { parseConfig } from "../../../lib/config/load.ts";

/** A key that is known and has no effect: it is there, though `Config` does not tell of it. */
const maxRetries = ({ http }: Config) =>
  new Map<string, number>(Object.entries(http)).get("maxretries");

Deno.test("an empty file gives the existing daemon's defaults", () => {
  const { config, unknownKeys } = parseConfig("", "t");
  assert.deepEqual(config, defaultConfig());
  assert.deepEqual(unknownKeys, []);
  assert.equal(maxRetries(config), 8);
  assert.equal(config.pull_modes.soci_v1.enable, false);
  assert.equal(config.pull_modes.soci_v2.enable, true);
});

Deno.test("zero means the default, and keys match in any case", () => {
  const { config } = parseConfig(
    "mount_timeout_sec = 0\n[http]\nMaxRetries = 3\n",
    "t",
  );
  assert.equal(config.mount_timeout_sec, 30);
  assert.equal(maxRetries(config), 3);
});

Deno.test("host names of the resolver are kept to the letter", () => {
  const { config, unknownKeys } = parseConfig(
    '[resolver.host."Docker.io"]\nmirrors = [{ host = "m:5000", insecure = true }]\n',
    "t",
  );
  assert.deepEqual(
    config.resolver.host["Docker.io"]?.mirrors[0]?.host,
    "m:5000",
  );
  assert.deepEqual(unknownKeys, []);
});

Deno.test("an unknown key is told by its dotted name", () => {
  assert.deepEqual(
    parseConfig("[blob]\nvalid_intervall = 1\n", "t").unknownKeys,
    [
      "blob.valid_intervall",
    ],
  );
});

Deno.test("text that is no TOML names file, line and column", () => {
  assert.throws(
    () => parseConfig("a = [", "c.toml"),
    (e) => e instanceof ConfigError && /^c\.toml:1:\d+/.test(e.message),
  );
});

Deno.test("a value of the wrong kind names its key", () => {
  assert.throws(
    () => parseConfig('[blob]\nvalid_interval = "soon"\n', "c.toml"),
    (e) =>
      e instanceof ConfigError && e.message.includes("blob.valid_interval"),
  );
  assert.throws(
    () => parseConfig('[background_fetch]\ndrop_policy = "middle"\n', "c.toml"),
    (e) => e instanceof ConfigError && e.message.includes("drop_policy"),
  );
});

Deno.test("a named file that is missing is an error", () => {
  assert.throws(() => loadConfig("/nonexistent/config.toml"), ConfigError);
});

Deno.test("what is dumped reads back to the same configuration", () => {
  const { config } = parseConfig("debug = true\n[http]\nMaxRetries = 3\n", "t");
  assert.deepEqual(parseConfig(dumpConfig(config), "dump").config, config);
});
