import assert from "node:assert/strict";
import { docFindings } from "../../../tools/house/docs.ts";
import { readModule } from "../../../tools/house/mod.ts";

const OUTPUT =
  `error[missing-jsdoc]: exported symbol is missing JSDoc documentation
  --> /r/lib/host/os/errno.ts:19:12
   |
19 |   readonly sizeBytes: number;
   |            ^

error[private-type-ref]: public type 'open' references private type 'Row'
  --> /r/lib/a.ts:3:1
   |
 3 | export function open(): Row {
   | ^
   = hint: make the referenced type public or remove the reference

error[private-type-ref]: public type 'send' references private type 'Message'
  --> /r/lib/a.ts:4:1

error[missing-jsdoc]: exported symbol is missing JSDoc documentation
  --> /home/.cache/npm/x.d.ts:558:5

error: Found 4 documentation lint errors.
`;

Deno.test("what deno doc finds in the repository is told, and a package's types are public", () => {
  const module = readModule(
    "lib/a.ts",
    `import type { Message } from "@bufbuild/protobuf";
    import type { Row } from "./row.ts";`,
  );
  assert.deepEqual(docFindings(OUTPUT, "/r/", [module]), [
    "lib/host/os/errno.ts:19: exported symbol is missing JSDoc documentation",
    "lib/a.ts:3: public type 'open' references private type 'Row'",
  ]);
  assert.equal(docFindings(OUTPUT, "/r/", []).length, 3);
  assert.deepEqual(docFindings("Checked 3 files\n", "/r/", []), []);
});
