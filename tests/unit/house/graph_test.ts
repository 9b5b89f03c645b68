import assert from "node:assert/strict";
import {
  circles,
  type Module,
  packageViolations,
  PLAN,
  type Plan,
  PRODUCT,
  productPackages,
  readModule,
  readModules,
  report,
  ROOT,
  violations,
} from "../../../tools/house/mod.ts";

Deno.test("the product keeps the rules of the house", () => {
  const modules = readModules(ROOT, PRODUCT);
  assert.ok(modules.length > 200, `${modules.length} modules`);
  console.log(report(modules, PLAN));
  assert.deepEqual([
    ...violations(modules, PLAN),
    ...packageViolations(modules, productPackages()),
  ], []);
});

const OPENING = `/**
 * What this is for, in words enough that a newcomer knows whether to look in here or to go on.
 * @module
 */
`;
const SMALL: Plan = {
  wings: ["images", "host", "formats"],
  shared: ["config"],
  narrow: { "host/os": { uses: [], why: "libc alone" } },
  pure: ["formats"],
  longest: 20,
  long: {},
  generated: ["lib/host/os/gen"],
  forTests: {},
  knowTheirPlace: {},
};
/** A house in which all is well. */
const WELL: Readonly<Record<string, string>> = {
  "main.ts": `import { run } from "./cmd/mod.ts"; import.meta.main && run();`,
  "cmd/mod.ts":
    `export { run } from "./run.ts"; export const load = () => import("./run.ts");`,
  "cmd/run.ts": `export { run } from "../lib/images/lazy/mod.ts";`,
  "lib/images/mod.ts": OPENING,
  "lib/images/lazy/mod.ts": `${OPENING}
    import type { Digest } from "../../formats/oci/mod.ts";
    import { open } from "../../host/os/mod.ts";
    export function run(digest: Digest) { open(digest); }
    new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });`,
  "lib/images/lazy/worker.ts": `import { open } from "../../host/os/mod.ts";`,
  "lib/host/mod.ts": OPENING,
  "lib/host/os/mod.ts": `${OPENING}
    import { config } from "../../config/mod.ts";
    export const open = (name: string) => Deno.openSync(name + config);`,
  "lib/host/os/gen/long.ts": "\n".repeat(100),
  "lib/host/files/mod.ts": `${OPENING} export * from "../os/mod.ts";`,
  "lib/formats/mod.ts": OPENING,
  "lib/formats/oci/mod.ts": `${OPENING}
    import { crc32 } from "node:zlib";
    /** Not performance.now(), nor Deno.open. */
    export type Digest = string;
    export const at = (seconds: number) => new Date(seconds * crc32("Date.now"));`,
  "lib/config/mod.ts": `${OPENING} export const config = Deno.build.os;`,
};

/** What breaks in the small house when these files are put into it. `null` takes one away. */
function broken(
  changes: Readonly<Record<string, string | null>>,
  plan: Plan = SMALL,
): readonly string[] {
  const modules: Module[] = [];
  for (const [path, text] of Object.entries({ ...WELL, ...changes })) {
    if (text !== null) modules.push(readModule(path, text));
  }
  return violations(modules, plan);
}

Deno.test("a house in which all is well breaks no rule", () => {
  assert.deepEqual(broken({}), []);
});

/** One change to the small house for each kind of harm, and what the rules say of it. */
const HARM: readonly (readonly [
  what: string,
  changes: Readonly<Record<string, string | null>>,
  says: readonly RegExp[],
])[] = [
  [
    "an import from a wing above",
    { "lib/host/os/a.ts": `import "../../images/lazy/mod.ts";` },
    [
      /os\/a\.ts:1: imports .*host\/os lies below images\/lazy/,
      /host\/os knows libc alone/,
      /rooms in a circle/,
    ],
  ],
  [
    "a type from a wing above",
    {
      "lib/formats/oci/a.ts":
        `export type A = import("../../host/os/mod.ts").B;`,
    },
    [/formats\/oci lies below host\/os/],
  ],
  [
    "a dynamic import from above",
    {
      "lib/host/files/a.ts":
        `export const a = () => import("../../../cmd/mod.ts");`,
    },
    [/host\/files lies below cmd/],
  ],
  [
    "a shared room that uses a wing",
    { "lib/config/a.ts": `export * from "../formats/oci/mod.ts";` },
    [/config lies below formats\/oci/],
  ],
  [
    "a narrow room that uses its neighbour",
    { "lib/host/os/a.ts": `import "../files/mod.ts";` },
    [/host\/os knows libc alone/, /rooms in a circle: host\/files -> host\/os/],
  ],
  [
    "a room entered by the window",
    { "lib/images/lazy/a.ts": `import "../../host/os/gen/long.ts";` },
    [/enters host\/os by lib\/host\/os\/gen\/long.ts/],
  ],
  [
    "a room entered by a folder inside it",
    {
      "lib/host/os/parts/mod.ts": "",
      "lib/host/os/a.ts": `import "./parts/mod.ts";`,
      "lib/images/lazy/a.ts": `import "../../host/os/parts/mod.ts";`,
    },
    [/enters host\/os by lib\/host\/os\/parts\/mod.ts/],
  ],
  [
    "a command that enters a room by the window",
    { "cmd/a.ts": `import "../lib/images/lazy/worker.ts";` },
    [/enters images\/lazy by lib\/images\/lazy\/worker.ts/],
  ],
  [
    "a Worker of another room",
    {
      "lib/host/os/worker.ts": "",
      "lib/images/lazy/a.ts":
        `new Worker(new URL("../../host/os/worker.ts", import.meta.url));`,
    },
    [/starts lib\/host\/os\/worker.ts, a Worker of another room/],
  ],
  [
    "two files in a circle",
    {
      "lib/images/lazy/a.ts": `export * from "./b.ts";`,
      "lib/images/lazy/b.ts": `import type { B } from "./a.ts";`,
    },
    [/files in a circle: \S+a\.ts -> \S+b\.ts -> \S+a\.ts/],
  ],
  [
    "rooms in a circle of three, no files in any",
    {
      "lib/host/a/mod.ts": `${OPENING} import "../b/mod.ts";`,
      "lib/host/b/mod.ts": OPENING,
      "lib/host/b/b.ts": `import "../c/mod.ts";`,
      "lib/host/c/mod.ts": OPENING,
      "lib/host/c/c.ts": `import "../a/mod.ts";`,
    },
    [/^rooms in a circle: host\/a -> host\/b -> host\/c -> host\/a$/],
  ],
  [
    "formats with a clock or I/O",
    {
      "lib/formats/oci/a.ts": `
        export const now = Date.now();
        export const then = new Date();
        export const read = Deno.readFile;
        export const { stat } = Deno;
        setTimeout(() => {}, performance.now());
        await fetch("http://example.invalid");
        import "node:fs";`,
    },
    [
      /uses Date\.now/,
      /uses new Date\(\)/,
      /uses Deno\.readFile/,
      /uses Deno:/,
      /uses setTimeout/,
      /uses performance/,
      /uses fetch/,
      /imports node:fs/,
    ],
  ],
  [
    "a wing without an opening",
    { "lib/host/mod.ts": null },
    [/^lib\/host\/mod\.ts: missing/],
  ],
  [
    "a room without an opening",
    { "lib/images/new/a.ts": "" },
    [/^lib\/images\/new\/mod\.ts: missing/],
  ],
  [
    "an opening that says nothing",
    { "lib/host/files/mod.ts": `/** Files. @module */ export {};` },
    [/^lib\/host\/files\/mod\.ts: its opening comment/],
  ],
  [
    "a file beside the rooms",
    { "lib/host/a.ts": "" },
    [/lies in no room of host/],
  ],
  [
    "a wing that nobody planned",
    { "lib/utils/a.ts": "" },
    [/utils is no wing/],
  ],
  [
    "an import of the tests",
    { "cmd/a.ts": `import "../tests/support/mod.ts";` },
    [/no part of the product/],
  ],
  [
    "a module that looks for a file beside itself",
    {
      "lib/host/files/a.ts":
        `export const a = new URL("./a.json", import.meta.url);`,
    },
    [/files\/a\.ts:1: asks where it lies/],
  ],
  [
    "a Worker that nobody can find by reading",
    { "lib/host/files/a.ts": `export const a = (b: URL) => new Worker(b);` },
    [/files\/a\.ts:1: starts a Worker by an address/],
  ],
  [
    "a long file",
    { "lib/host/files/a.ts": "\n".repeat(21) },
    [/files\/a\.ts: 21 lines, 20 at most/],
  ],
];

for (const [what, changes, says] of HARM) {
  Deno.test(`the rules see ${what}`, () => {
    const seen = broken(changes);
    for (const words of says) {
      assert.ok(
        seen.some((one) => words.test(one)),
        `${words} is not in ${JSON.stringify(seen)}`,
      );
    }
    const rest = seen.filter((one) => !says.some((words) => words.test(one)));
    assert.deepEqual(rest, []);
  });
}

Deno.test("a long file may have a reason, and a reason without its file is seen", () => {
  const long = { "lib/host/files/a.ts": "one table" };
  const file = { "lib/host/files/a.ts": "\n".repeat(21) };
  assert.deepEqual(broken(file, { ...SMALL, long }), []);
  assert.match(String(broken({}, { ...SMALL, long })), /no long file any more/);
});

Deno.test("circles are found wherever the search begins, and a way through a knot is no circle", () => {
  const graph = (edges: Readonly<Record<string, string>>) =>
    new Map(
      Object.entries(edges).map(([from, to]) => [from, new Set(to)]),
    );
  assert.deepEqual(circles(graph({ a: "bc", b: "d", c: "d", d: "" })), []);
  assert.deepEqual(circles(graph({ a: "a" })), [["a", "a"]]);
  assert.deepEqual(circles(graph({ a: "b", b: "cd", c: "b", d: "" })), [
    ["b", "c", "b"],
  ]);
  assert.deepEqual(
    circles(graph({ a: "b", b: "a", x: "ya", y: "z", z: "x" })),
    [["a", "b", "a"], ["x", "y", "z", "x"]],
  );
});

Deno.test("a package that is only in the tests' map, and one that nobody uses, are seen", () => {
  const modules = [
    readModule("cmd/a.ts", `import fc from "fast-check"; import "toml/lite";`),
  ];
  assert.deepEqual([
    ...packageViolations(modules, { toml: "npm:toml@1", echarts: "npm:e@1" }),
  ], [
    "cmd/a.ts:1: imports fast-check, which is no package of the product",
    "deno.json: nothing of the product imports echarts",
  ]);
});
