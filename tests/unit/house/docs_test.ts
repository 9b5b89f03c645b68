import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { COMMANDS } from "../../../cmd/mod.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const PAGES = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
  ...[...Deno.readDirSync(`${ROOT}docs`)].map(({ name }) => `docs/${name}`)
    .filter((name) => name.endsWith(".md")),
];

const textOf = (page: string) =>
  Deno.readTextFileSync(`${ROOT}${page}`).replace(/^( *)```[^]*?^\1```$/gm, "");

/** The anchors of a page's headings, as code hosts make them. */
function anchorsOf(page: string): Set<string> {
  return new Set(
    [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-")
    ),
  );
}

/** Links of a page to files here: `[path, anchor]`. */
function linksOf(page: string): readonly (readonly [string, string])[] {
  const links = textOf(page).replace(/\s+/g, " ").matchAll(/\]\(([^)\s]+)\)/g);
  return [...links].map(([, target]) => target!)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [path = "", anchor = ""] = target.split("#");
      return [path === "" ? page : join(dirname(page), path), anchor] as const;
    });
}

Deno.test("links between the pages lead somewhere", () => {
  for (const page of PAGES) {
    for (const [path, anchor] of linksOf(page)) {
      assert.ok(
        Deno.statSync(`${ROOT}${path}`).isFile,
        `${page} links to ${path}`,
      );
      if (anchor === "" || !path.endsWith(".md")) continue;
      assert.ok(
        anchorsOf(path).has(anchor),
        `${page} links to ${path}#${anchor}, which has ${
          [...anchorsOf(path)].join(" ")
        }`,
      );
    }
  }
});

Deno.test("the README links to every page of the docs", () => {
  const linked = linksOf("README.md").map(([path]) => path);
  for (const page of PAGES.filter((one) => one.startsWith("docs/"))) {
    assert.ok(linked.includes(page), `README.md does not link to ${page}`);
  }
});

Deno.test("the page of commands has a row for every command", () => {
  const rows = textOf("docs/commands.md").match(/^\| `[^`]+`/gm) ?? [];
  for (const { name, hidden } of COMMANDS) {
    if (hidden === true) continue;
    const row = new RegExp("^\\| `" + name + "[ `]");
    assert.ok(rows.some((one) => row.test(one)), `no row for ${name}`);
  }
});

Deno.test("each row of the comparison names what backs it", () => {
  const [compared = [], backed = []] = textOf("docs/comparison.md")
    .split(/\n\n/).filter((part) => part.startsWith("|"))
    .map((table) =>
      table.split("\n").slice(2).map((row) => row.split("|")[1]!.trim())
    );
  assert.ok(compared.length > 10);
  assert.deepEqual(backed, compared);
});

/** What a fence may hold: commands with their prompt, which a test runs (`tests/e2e/docs_test.ts`), or no commands. */
const FENCES = ["console", "toml", "text"];

Deno.test("a fence says what it holds, and a command in one has its prompt", () => {
  for (const page of PAGES) {
    const text = Deno.readTextFileSync(`${ROOT}${page}`);
    const fences = text.matchAll(/^( *)```(\w*)\n([^]*?)^\1```$/gm);
    for (const [, indent = "", kind = "", body = ""] of fences) {
      assert.ok(
        FENCES.includes(kind),
        `${page}: a fence is one of ${FENCES.join(", ")}, not "${kind}"`,
      );
      if (kind !== "console") continue;
      for (const line of body.trimEnd().split("\n")) {
        assert.match(
          line.slice(indent.length),
          /^[$#] /,
          `${page}: "${line}" has no prompt ($ or #)`,
        );
      }
    }
  }
});
