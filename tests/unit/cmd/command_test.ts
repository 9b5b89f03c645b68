import assert from "node:assert/strict";
import {
  formatBytes,
  HelpRequest,
  parseCommandLine,
  parseSizeBytes,
  UsageError,
} from "../../../cmd/command.ts";
import { didYouMean } from "../../../cmd/nearest.ts";
import { main } from "../../../main.ts";

Deno.test("a size flag takes plain bytes and units of 1024", () => {
  assert.equal(parseSizeBytes("--span-size", "4194304"), 4194304);
  assert.equal(parseSizeBytes("--span-size", "4MiB"), 4194304);
  assert.equal(parseSizeBytes("--span-size", "1.5k"), 1536);
});

Deno.test("a size flag that is no size is a usage error that names the flag", () => {
  for (const text of ["", "-1", "4 parsecs", "1.0001", "NaN", "99999999g"]) {
    assert.throws(
      () => parseSizeBytes("--span-size", text),
      (e) => e instanceof UsageError && e.message.includes("--span-size"),
    );
  }
});

Deno.test("an unknown flag is a usage error", () => {
  assert.throws(
    () => parseCommandLine({ args: ["--nonsense"], options: {} }),
    (e) => e instanceof UsageError && e.message.includes("--nonsense"),
  );
});

Deno.test("a mistyped flag or command names the one that is near, and none where none is", () => {
  const options = {
    "span-size": { type: "string" },
    json: { type: "boolean" },
  } as const;
  const fails = (flag: string) => {
    try {
      parseCommandLine({ args: [flag, "secret"], options });
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  assert.equal(
    fails("--jsno"),
    'there is no flag --jsno; did you mean "--json"?',
  );
  assert.equal(
    fails("--spansize"),
    'there is no flag --spansize; did you mean "--span-size"?',
  );
  assert.equal(fails("--password=secret"), "there is no flag --password");
  assert.equal(
    didYouMean("satus", ["serve", "status"]),
    '; did you mean "status"?',
  );
  assert.equal(didYouMean("rm", ["ls"]), "");
  assert.equal(didYouMean("x", []), "");
});

Deno.test("help is given although another flag is wrong", () => {
  assert.throws(
    () => parseCommandLine({ args: ["--nonsense", "--help"], options: {} }),
    HelpRequest,
  );
});

Deno.test("bytes are shown in decimal units", () => {
  assert.equal(formatBytes(999), "999 B");
  assert.equal(formatBytes(17_300_000), "17.3 MB");
});

Deno.test("an unknown command exits with 2, help with 0", async () => {
  assert.equal(await main(["no-such-command"]), 2);
  assert.equal(await main(["--help"]), 0);
  assert.equal(await main([]), 2);
});
