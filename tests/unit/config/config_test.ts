import assert from "node:assert/strict";
import {
  checkConfig,
  type Config,
  ConfigError,
  defaultConfig,
  describeFinding,
  dumpConfig,
  loadConfig,
} from "../../../lib/config/mod.ts";
import { KEYS } from "../../../lib/config/keys.ts";
import { parseConfig } from "../../../lib/config/load.ts";

const maxRetries = ({ http }: Config) => http.maxretries;

/** What is found in a text, without lines and words. */
const found = (toml: string) =>
  checkConfig(toml).findings.map(({ kind, key }) => `${kind} ${key}`);

Deno.test("an empty file gives the existing daemon's defaults", () => {
  const { config, findings } = parseConfig("", "t");
  assert.deepEqual(config, defaultConfig());
  assert.deepEqual(findings, []);
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
  const { config, findings } = parseConfig(
    '[resolver.host."Docker.io"]\nmirrors = [{ host = "m:5000", insecure = true }]\n',
    "t",
  );
  assert.deepEqual(
    config.resolver.host["Docker.io"]?.mirrors[0]?.host,
    "m:5000",
  );
  assert.deepEqual(findings, []);
});

Deno.test("an unknown key is told by its dotted name and line, with the key that was meant", () => {
  const [finding, ...more] = parseConfig(
    "# a\n[blob]\nmax_retriess = 1\n",
    "t",
  ).findings;
  assert.deepEqual(more, []);
  assert.ok(finding);
  assert.equal(
    describeFinding("c.toml", finding),
    "c.toml:3: blob.max_retriess: unknown key; did you mean blob.max_retries?",
  );
  assert.match(
    checkConfig("keep_removed = true\n").findings[0]?.text ?? "",
    /did you mean cache\.keep_removed/,
  );
  assert.equal(
    checkConfig("[elsewhere]\nsomething_new = 1\n").findings[0]?.text,
    "unknown key",
  );
});

Deno.test("a key without effect is told with the reason; one in effect is not", () => {
  assert.deepEqual(
    found(
      "http_cache_type = 'x'\n[fuse]\nattr_timeout = 1\n[http]\nMaxRetries = 2\n[metrics]\n",
    ),
    ["unused http_cache_type", "unused fuse.attr_timeout"],
  );
  const mirrors =
    "[[resolver.host.'a.example'.mirrors]]\nhost = 'm'\nrequest_timeout_sec = 3\ninsecur = true\n";
  assert.deepEqual(checkConfig(mirrors).findings, [
    {
      kind: "unknown",
      key: "resolver.host.a.example.mirrors.insecur",
      line: 4,
      text: "unknown key; did you mean resolver.host.*.mirrors.insecure?",
    },
  ]);
});

Deno.test("all that is wrong is found at once, each with its line", () => {
  const toml = [
    "mount_timeout_sec = 'soon'",
    "",
    "[filesystem]",
    "face = 'round'",
    "[ cache ]",
    "  keep_removed = 1 # a comment",
    "[trust]",
    "v1 = 'all'",
  ].join("\n");
  assert.deepEqual(
    checkConfig(toml).findings.map((one) => describeFinding("c", one)),
    [
      'c:1: mount_timeout_sec: expected a number, but it is "soon"',
      "c:6: cache.keep_removed: expected true or false, but it is 1",
      'c:8: trust.v1: expected a list, but it is "all"',
      'c:4: filesystem.face: expected "auto" or "fuse" or "erofs", but it is "round"',
    ],
  );
  assert.throws(
    () => parseConfig(toml, "c"),
    /^ConfigError: c:1: .*; 3 more, `config check` shows them$/,
  );
});

Deno.test("retries of ranges are those of all requests where [blob] does not say its own", () => {
  const { blob } = parseConfig(
    "[http]\nMaxRetries = 3\nMinWaitMsec = 7\n[blob]\nmin_wait_msec = 9\nmax_wait_msec = 0\n",
    "t",
  ).config;
  assert.deepEqual(
    [blob.max_retries, blob.min_wait_msec, blob.max_wait_msec],
    [3, 9, 300_000],
  );
});

/** The dotted names of all keys with a value; lists of tables are looked into. */
function leaves(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => leaves(one, path));
  if (typeof value !== "object" || value === null) return [path];
  return Object.entries(value).flatMap(([key, item]) =>
    leaves(item, path === "" ? key : `${path}.${key}`)
  );
}

Deno.test("every key of the schema is described, and no other", () => {
  const { config } = parseConfig(
    `[load_order.workloads]
     X = "web"
     [[resolver.host.X.mirrors]]
     host = "m"
     [pull_modes.parallel_pull_unpack.decompress_streams]
     gzip = { path = "/bin/x", args = ["y"] }
     zstd = { path = "/bin/x", args = ["y"] }
     [eager]
     images = ["a"]
     unindexed = ["a"]
     labels = ["a"]
     [eager.policies]
     X = "auto"
     [network]
     hosts = ["a"]
     [recording]
     images = ["a"]`,
    "t",
  );
  const keys = new Set(leaves(config).map((key) => key.replace("X", "*")));
  assert.deepEqual([...keys].sort(), Object.keys(KEYS).sort());
});

Deno.test("a key is read by the program, or it is marked as without effect", () => {
  const sources = [...files("lib"), ...files("cmd")]
    .filter((path) => !path.startsWith("lib/config/"))
    .map((path) => Deno.readTextFileSync(path)).join("\n");
  for (const [key, { unused }] of Object.entries(KEYS)) {
    if (unused !== undefined) continue;
    const parts = key.split(".").filter((part) => part !== "*");
    const name = parts.at(-1) ?? "";
    const word = new RegExp(`\\b${name}\\b`);
    // Some are read with the table around them.
    const [table = ""] = parts.length > 1 ? parts : [name];
    const isRead = word.test(sources) || PASSED_WHOLE.has(table) ||
      ALWAYS.has(key);
    assert.ok(isRead, `${key} is not read`);
  }
});

Deno.test("only keys that mean nothing here have no effect", () => {
  const mayWarn =
    /^(http_cache_type|filesystem_cache_type|resolve_result_entry|metadata_\w+|directory_cache\.\w+|skip_check_snapshotter_supported|fuse\.\w+_timeout)$/;
  const others = /^content_store\.namespace$/; // no key of the existing daemon
  const unused = Object.keys(KEYS).filter((key) =>
    KEYS[key]?.unused !== undefined
  );
  assert.deepEqual(
    unused.filter((key) => !mayWarn.test(key) && !others.test(key)),
    [],
  );
});

/** Tables that are handed on as they are. */
const PASSED_WHOLE = new Set(["trust"]);

/** What a key asks for is so in any case. */
const ALWAYS = new Set(["blob.force_single_range_mode"]);

function* files(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) yield* files(path);
    else if (name.endsWith(".ts")) yield path;
  }
}

Deno.test("a dump marks what has no effect, and reads back", () => {
  const dump = dumpConfig(defaultConfig());
  assert.match(dump, /^http_cache_type = "" # no effect: /m);
  assert.match(dump, /^mount_timeout_sec = 30$/m);
  assert.match(dump, /^attr_timeout = 1 # no effect: /m);
  assert.match(dump, /^DialTimeoutMsec = 3000$/m);
});

Deno.test("text that is no TOML names file, line and column", () => {
  assert.throws(
    () => parseConfig("a = [", "c.toml"),
    (e) => e instanceof ConfigError && /^c\.toml:1:\d+/.test(e.message),
  );
});

Deno.test("a value of the wrong kind names its key", () => {
  assert.throws(
    () => parseConfig('[blob]\nmax_retries = "many"\n', "c.toml"),
    (e) => e instanceof ConfigError && e.message.includes("blob.max_retries"),
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
