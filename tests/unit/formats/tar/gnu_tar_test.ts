import assert from "node:assert/strict";
import { type TarEntry, TarWalker } from "../../../../lib/formats/tar/mod.ts";
import { randomFrom } from "../../../fuzz/mod.ts";
import { run } from "../../../support/host/mod.ts";
import { incompressible } from "../../../support/images/mod.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function walk(tar: Uint8Array): TarEntry[] {
  const entries: TarEntry[] = [];
  const walker = new TarWalker({ onEntry: (entry) => entries.push(entry) });
  for (let at = 0; at < tar.length; at += 10_007) {
    walker.push(tar.subarray(at, at + 10_007));
  }
  walker.finish();
  return entries;
}

/** A tree of files of all kinds that need no device; names over 100 bytes where `long` says so. */
async function makeTree(folder: string, names: "short" | "long") {
  const random = randomFrom(7);
  const contents = new Map<string, Uint8Array>();
  const letters = "abcdeXYZ-_ .äß日";
  for (let i = 0; i < 40; i++) {
    const length = names === "long" && i % 4 === 0
      ? 60 + random(120)
      : 1 + random(20);
    let name = `${i}`;
    for (let j = 0; j < length; j++) name += letters[random(letters.length)];
    const inside = names === "long" && i % 8 === 0 ? "d".repeat(90) : "dir";
    await Deno.mkdir(`${folder}/${inside}`, { recursive: true });
    const path = `${inside}/${name.slice(0, 100).trimEnd()}`;
    const size = [0, 1, 511, 512, 513, 9000][random(6)]!;
    const data = incompressible(size);
    await Deno.writeFile(`${folder}/${path}`, data, { mode: random(0o777) });
    contents.set(path, data);
    if (i % 5 === 0) await Deno.symlink(path, `${folder}/link-${i}`);
    if (i % 7 === 0) {
      await Deno.link(`${folder}/${path}`, `${folder}/hard-${i}`);
    }
  }
  return contents;
}

const WAYS = [
  ["short", ["--format=v7"]],
  ["short", ["--format=ustar"]],
  ["long", ["--format=oldgnu"]],
  ["long", ["--format=gnu", "--label=some label"]],
  ["long", ["--format=posix"]],
  ["long", ["--format=posix", "--pax-option=comment=of all files"]],
  ["long", ["--format=posix", "--label=pax label", "--blocking-factor=1"]],
] as const;

for (const [names, options] of WAYS) {
  Deno.test(`what GNU tar packs with ${options.join(" ")} is found where it lies`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const tree = `${folder}/tree`;
      await Deno.mkdir(tree);
      const contents = await makeTree(tree, names);
      const archive = `${folder}/archive.tar`;
      await run("tar", [
        ...["--create", "--sort=name", ...options],
        ...["--file", archive, "--directory", tree, "."],
      ]);
      const { stdout } = await run("tar", [
        ...["--list", "--quoting-style=literal", "--file", archive],
      ], { env: { LC_ALL: "C.UTF-8" } });
      const tar = await Deno.readFile(archive);
      const entries = walk(tar);
      assert.deepEqual(
        entries.map(({ name }) => text(name)),
        stdout.trimEnd().split("\n").filter((line) => !/label/.test(line)),
      );
      let files = 0;
      for (const { name, type, offset, size, mode, mtime } of entries) {
        const path = text(name).replace(/^\.\//, "");
        const stat = await Deno.lstat(`${tree}/${path}`);
        assert.equal(mode & 0o7777, stat.mode! & 0o7777, path);
        assert.equal(mtime.seconds, Math.floor(stat.mtime!.getTime() / 1000));
        if (type !== "reg") continue;
        files++;
        assert.deepEqual(
          tar.subarray(offset, offset + size),
          contents.get(path) ?? await Deno.readFile(`${tree}/${path}`),
          path,
        );
      }
      assert.equal(files, 40);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
