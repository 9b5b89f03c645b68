/** A terminal gets no control characters out of what images and registries say; pipes get every byte. */
import assert from "node:assert/strict";
import { printable } from "../../../cmd/terminal.ts";
import { sociDenoCommand, tryRun } from "../../support/host/mod.ts";
import { runOnTerminal } from "../../support/terminal/mod.ts";

Deno.test("text for a terminal has its lines and tabs, and nothing that drives it", () => {
  const evil = "a\x1b]0;title\x07b\x9b2Jc\x7f\r\n\td\u00e9";
  assert.equal(
    printable(evil),
    "a\ufffd]0;title\ufffdb\ufffd2Jc\ufffd\ufffd\n\td\u00e9",
  );
});

Deno.test("a command quotes evil text on a terminal without its control characters, and in a pipe as it is", async () => {
  const evil = "x\x1b[31my";
  const { program, args } = sociDenoCommand("gc", evil);
  const shown = await runOnTerminal({
    ...{ program, args, columns: 200, rows: 10 },
  });
  assert.equal(shown.code, 2, shown.raw);
  assert.match(shown.raw, /takes no argument "x\ufffd\[31my"/);
  assert.ok(!shown.raw.includes("\x1b[31m"), JSON.stringify(shown.raw));
  const piped = await tryRun(program, args);
  assert.ok(piped.stderr.includes(evil), piped.stderr);
});
