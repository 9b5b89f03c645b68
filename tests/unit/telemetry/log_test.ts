import assert from "node:assert/strict";
import {
  configureLogs,
  logger,
  redactUrl,
} from "../../../lib/telemetry/mod.ts";

Deno.test("a JSON record holds time, level, message, room and the facts", async () => {
  const lines: string[] = [];
  await configureLogs({
    level: "info",
    format: "json",
    write: (line) => lines.push(line),
  });
  logger("spans").warn("span has the wrong digest", { span: 3, offset: 4096 });
  logger("spans").debug("not written at this level");
  assert.equal(lines.length, 1);
  const record = JSON.parse(lines[0]!);
  assert.equal(record.level, "warn");
  assert.equal(record.msg, "span has the wrong digest");
  assert.equal(record.room, "spans");
  assert.deepEqual([record.span, record.offset], [3, 4096]);
  assert.ok(!Number.isNaN(Date.parse(record.time)));
});

Deno.test("an error in a record tells its cause", async () => {
  const lines: string[] = [];
  await configureLogs({
    level: "info",
    format: "text",
    write: (line) => lines.push(line),
  });
  logger("registry").error("fetch failed", {
    error: new Error("range refused", { cause: new Error("401") }),
  });
  assert.deepEqual(lines, ["error: fetch failed error=range refused: 401"]);
});

Deno.test("a redacted URL shows neither user info nor query", () => {
  assert.equal(
    redactUrl("https://u:p@h:5000/v2/x?sig=secret"),
    "https://h:5000/v2/x?…",
  );
  assert.equal(redactUrl("http://h/v2/"), "http://h/v2/");
  assert.equal(redactUrl("not a url with secret"), "(unreadable URL)");
});
