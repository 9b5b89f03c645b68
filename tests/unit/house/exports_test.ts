import assert from "node:assert/strict";
import {
  BESIDE,
  deadExports,
  PLAN,
  type Plan,
  PRODUCT,
  readModule,
  readModules,
  ROOT,
} from "../../../tools/house/mod.ts";

Deno.test("the product exports nothing for nobody", () => {
  const product = readModules(ROOT, PRODUCT);
  const beside = readModules(ROOT, BESIDE);
  assert.deepEqual(deadExports(product, beside, PLAN), []);
});

/** What is dead in a small house with these files; those of tests are taken by their folder. */
function dead(
  files: Readonly<Record<string, string>>,
  plan: Plan = PLAN,
): readonly string[] {
  const modules = Object.entries(files).map(([path, text]) =>
    readModule(path, text)
  );
  const isTest = ({ path }: { readonly path: string }) =>
    path.startsWith("tests/");
  return deadExports(
    modules.filter((one) => !isTest(one)),
    modules.filter(isTest),
    plan,
  ).map((one) => one.replace(/:\d+:/, ""));
}

const FILE = "lib/host/os/a.ts";
const DOOR = "lib/host/os/mod.ts";
const USER = { "cmd/x.ts": `import { a } from "../${DOOR}"; a;` };

Deno.test("what another file or room of the product takes is alive, by whatever way it is taken", () => {
  const door = { [DOOR]: `export { a } from "./a.ts";` };
  const file = { [FILE]: "export const a = 1;" };
  assert.deepEqual(dead({ ...file, ...door, ...USER }), []);
  assert.deepEqual(
    dead({
      ...file,
      ...door,
      "cmd/x.ts": `export { a as b } from "../${DOOR}";`,
      "cmd/y.ts": `import * as all from "./x.ts";`,
    }),
    [],
  );
  assert.deepEqual(
    dead({
      ...file,
      ...door,
      "cmd/x.ts":
        `export const x = async () => (await import("../${DOOR}")).a;`,
      "cmd/y.ts": `import { x } from "./x.ts"; x();`,
    }),
    [],
  );
});

Deno.test("a name that nobody takes is dead, in a file and at a door", () => {
  assert.deepEqual(dead({ [FILE]: "export const a = 1;" }), [
    `${FILE} a is exported for nobody`,
  ]);
  assert.deepEqual(
    dead({
      [FILE]: "export const a = 1;",
      [DOOR]: `export { a } from "./a.ts";`,
      "lib/host/os/b.ts": `import { a } from "./mod.ts"; a;`,
    }),
    [`${DOOR} a is exported for nobody`],
  );
});

Deno.test("a folder inside a room has no door: its mod.ts is for the room", () => {
  assert.deepEqual(
    dead({
      "lib/host/os/parts/a.ts": "export const a = 1;",
      "lib/host/os/parts/mod.ts": `export { a } from "./a.ts";`,
      "lib/host/os/b.ts": `import { a } from "./parts/mod.ts"; a;`,
    }),
    [],
  );
});

Deno.test("tests may take a name from inside a room, and make no door for it", () => {
  const used = { [FILE]: "export const a = 1;\nconsole.log(a);" };
  assert.deepEqual(
    dead({ ...used, "tests/a_test.ts": `import { a } from "../${FILE}";` }),
    [],
  );
  assert.deepEqual(
    dead({
      ...used,
      [DOOR]: `export { a } from "./a.ts";`,
      "tests/a_test.ts": `import { a } from "../${DOOR}";`,
    }),
    [`${DOOR} a is at the door for tests alone (tests/a_test.ts)`],
  );
});

Deno.test("what only a test uses is no part of the product", () => {
  const file = { [FILE]: "export function a() {}" };
  const test = { "tests/a_test.ts": `import { a } from "../${FILE}";` };
  assert.deepEqual(dead({ ...file, ...test }), [
    `${FILE} a is there for tests alone (tests/a_test.ts)`,
  ]);
  const forTests = { [`${FILE} a`]: "the other half of a codec" };
  assert.deepEqual(dead({ ...file, ...test }, { ...PLAN, forTests }), []);
});

Deno.test("types that a wanted name shows, errors and what a door's example uses may be at the door", () => {
  const files = {
    [FILE]: `export interface Row { readonly id: Id }
      export type Id = number;
      export type Other = number;
      export class LostError extends Error {}
      export const EXAMPLE = 1;
      export function a(): Row { throw new LostError(); }`,
    [DOOR]: `/** \`\`\`ts
 * import { EXAMPLE } from "./mod.ts";
 * \`\`\`
 * @module
 */
      export { a, EXAMPLE, type Id, LostError, type Other, type Row } from "./a.ts";`,
    ...USER,
  };
  assert.deepEqual(dead(files), [`${DOOR} Other is exported for nobody`]);
});
