import assert from "node:assert/strict";
import { checkConfig, defaultConfig } from "../../../lib/config/mod.ts";
import { decompressors } from "../../../cmd/decompressors.ts";
import { wholeOptions } from "../../../cmd/whole.ts";

const EROFS = { choice: { face: "erofs", reason: "" }, wish: "auto" } as const;
const FUSE = { choice: { face: "fuse", reason: "" }, wish: "auto" } as const;
const IMAGE = { host: "registry.example", repository: "team/app" };

function optionsOf(
  toml: string,
  shown: Parameters<typeof wholeOptions>[1] = EROFS,
) {
  const { config, findings } = checkConfig(toml);
  assert.deepEqual(findings, []);
  assert.ok(config !== null);
  return wholeOptions(config, shown);
}

Deno.test("no image is taken whole unless the configuration says so", () => {
  assert.equal(wholeOptions(defaultConfig(), EROFS).rule(IMAGE), "never");
});

Deno.test("the existing keys and ours say which images are taken whole", () => {
  const rules = {
    'eager.unindexed = ["registry.example/**"]': "without index",
    'eager.unindexed = ["other.example/**"]': "never",
    'eager.images = ["registry.example/team/*"]': "always",
    "pull_modes.parallel_pull_unpack.enable = true": "always",
    "pull_modes.parallel_pull_unpack.experimental_parallel_pull_as_fallback = true":
      "without index",
  };
  for (const [toml, rule] of Object.entries(rules)) {
    assert.equal(optionsOf(toml).rule(IMAGE), rule, toml);
  }
});

Deno.test("a policy takes images whole by their names, unless a label may say something else", () => {
  const rules = {
    '[eager.policies]\n"**" = "eager"': "always",
    '[eager]\nlabels = ["**"]\n[eager.policies]\n"**" = "eager"':
      "without index",
    '[eager.policies]\n"**" = "auto"': "without index",
    '[eager.policies]\n"**/app" = "lazy"\n"**" = "eager"': "never",
    '[eager]\nsmall_images = "8mb"': "never",
  };
  for (const [toml, rule] of Object.entries(rules)) {
    assert.equal(optionsOf(toml).rule(IMAGE), rule, toml);
  }
  assert.equal(optionsOf("").policies, null);
  assert.equal(optionsOf("").indexMissing, "keep");
  const { policies } = optionsOf('[eager]\nsmall_images = "8mb"', FUSE);
  assert.deepEqual(policies, {
    ...{ patterns: [], labels: [] },
    ...{ smallBytes: 8 * 2 ** 20, mayBeWhole: false },
  });
});

Deno.test("where the kernel shows no such layer, containerd unpacks, unless FUSE was asked for", () => {
  const toml = "pull_modes.parallel_pull_unpack.enable = true";
  assert.equal(optionsOf(toml, FUSE).rule(IMAGE), "never");
  const wished = { ...FUSE, wish: "fuse" } as const;
  assert.equal(optionsOf(toml, wished).rule(IMAGE), "always");
});

Deno.test("the existing limits hold with the existing keys, -1 means any number, and blobs are kept in containerd's store unless discarded", () => {
  const own = "[pull_modes.parallel_pull_unpack]\nenable = true\n";
  assert.equal(optionsOf(own).keep, undefined); // nobody's store
  const table = `[content_store]\ntype = "containerd"\n${own}`;
  const byDefault = optionsOf(table);
  assert.deepEqual(byDefault.limits, {
    downloads: Infinity,
    downloadsPerImage: 3,
    chunkBytes: Infinity,
    unpacks: Infinity,
    unpacksPerImage: 1,
  });
  assert.notEqual(byDefault.keep, undefined);
  const given = optionsOf(`${table}
max_concurrent_downloads = 20
max_concurrent_downloads_per_image = 10
concurrent_download_chunk_size = "1.5 MB"
max_concurrent_unpacks = 6
max_concurrent_unpacks_per_image = 4
discard_unpacked_layers = true
`);
  assert.deepEqual(given.limits, {
    downloads: 20,
    downloadsPerImage: 10,
    chunkBytes: 1.5 * 2 ** 20,
    unpacks: 6,
    unpacksPerImage: 4,
  });
  assert.equal(given.keep, undefined);
});

Deno.test("a chunk size that is none is an error that names the key", () => {
  const { config, findings } = checkConfig(
    '[pull_modes.parallel_pull_unpack]\nconcurrent_download_chunk_size = "8 miles"\n',
  );
  assert.equal(config, null);
  assert.match(findings[0]?.key ?? "", /concurrent_download_chunk_size/);
  assert.equal(findings[0]?.line, 2);
  assert.match(findings[0]?.text ?? "", /expected a size, as `8mb`, but it is/);
});

Deno.test("programs that decompress are looked at before the daemon starts: a path that is no program says so and names the key", async () => {
  const table = "[pull_modes.parallel_pull_unpack.decompress_streams]\n";
  const programsOf = (path: string) => {
    const { config } = checkConfig(
      `${table}gzip = { path = "${path}", args = ["-dc"] }\n`,
    );
    return decompressors(config ?? assert.fail(path));
  };
  assert.deepEqual(programsOf("/bin/sh"), {
    gzip: { path: "/bin/sh", args: ["-dc"] },
  });
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-whole-" });
  await Deno.writeTextFile(`${folder}/plain`, "");
  await Deno.symlink(`${folder}/plain`, `${folder}/link`);
  await Deno.writeTextFile(`${folder}/own`, "", { mode: 0o755 });
  const wrong = {
    "/nowhere/gzip": /gzip\.path: there is no \/nowhere\/gzip/,
    "/etc": /is no file/,
    [`${folder}/link`]: /not executable/,
    [`${folder}/own`]: /cannot be run by all users/, // the folder is private
  };
  for (const [path, told] of Object.entries(wrong)) {
    assert.throws(() => programsOf(path), told);
  }
  for (const path of ["gzip", "/bin/gzip; id", "/bin/$(id)", ""]) {
    const { config, findings } = checkConfig(
      `${table}\ngzip = { path = "${path}" }\n`,
    );
    assert.equal(config, null, path);
    assert.match(findings[0]?.text ?? "", /expected an absolute path without/);
  }
  assert.match(
    checkConfig(`${table}gzipp = { path = "/bin/sh" }`).findings[0]?.text ?? "",
    /unknown key/,
  );
  await Deno.remove(folder, { recursive: true });
});
