import assert from "node:assert/strict";
import { ROOT } from "../../../tools/house/mod.ts";

interface Task {
  readonly description?: string;
  readonly command: string;
}

interface Config {
  readonly imports?: Readonly<Record<string, string>>;
  readonly workspace?: readonly string[];
  readonly tasks?: Readonly<Record<string, Task>>;
}

function config(folder = "."): Config {
  const path = new URL(`${folder}/deno.json`, ROOT);
  return JSON.parse(Deno.readTextFileSync(path));
}

Deno.test("every task says what it is for, and the programs and tasks it names are there", () => {
  const { tasks = {} } = config();
  assert.ok("ok" in tasks, "the one word for everything");
  for (const [name, { description = "", command }] of Object.entries(tasks)) {
    assert.ok(description.length > 10, `${name} has no description`);
    for (const [path] of command.matchAll(/[\w/]+\.ts\b/g)) {
      assert.ok(Deno.statSync(new URL(path, ROOT)).isFile, path);
    }
    for (const [, other] of command.matchAll(/deno task ([\w:]+)/g)) {
      assert.ok((other as string) in tasks, `${name} runs ${other}`);
    }
  }
});

Deno.test("every package is pinned to one version, the same in all import maps", () => {
  const pinned = new Map<string, string>();
  const folders = [".", ...config().workspace ?? []];
  assert.ok(folders.length > 1);
  for (const folder of folders) {
    for (const target of Object.values(config(folder).imports ?? {})) {
      const [, name = "", version = ""] =
        target.match(/^npm:\/?(@?[^@]+)@(\d+\.\d+\.\d+)\/?$/) ?? [];
      assert.notEqual(version, "", `${target} names no single version`);
      assert.equal(pinned.get(name) ?? version, version, name);
      pinned.set(name, version);
    }
  }
});
