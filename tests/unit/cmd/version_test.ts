import assert from "node:assert/strict";
import { VERSION } from "../../../cmd/version.ts";

const read = (path: string) =>
  Deno.readTextFileSync(new URL(`../../../${path}`, import.meta.url));

Deno.test("there is one version: what the program says is what deno.json, the docs and the changes name", () => {
  assert.match(VERSION, /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/);
  assert.equal(JSON.parse(read("deno.json")).version, VERSION);
  const named = [
    ...read("docs/quickstart.md").matchAll(/soci-deno[-_](\d+\.\d+\.\d+)/g),
  ];
  assert.ok(named.length > 0);
  for (const [text, version] of named) assert.equal(version, VERSION, text);
  const [newest] = [...read("CHANGELOG.md").matchAll(/^## (.*)$/gm)];
  assert.match(newest![1]!, new RegExp(`^(Unreleased|${VERSION}\\b)`));
});
