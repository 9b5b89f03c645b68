import assert from "node:assert/strict";
import {
  InvalidReferenceError,
  parseReference,
} from "../../../../lib/formats/reference/mod.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

const CASES: ReadonlyArray<readonly [typed: string, canonical: string]> = [
  ["redis", "docker.io/library/redis:latest"],
  ["redis:7", "docker.io/library/redis:7"],
  ["a/b", "docker.io/a/b:latest"],
  ["index.docker.io/a/b", "docker.io/a/b:latest"],
  ["localhost/x", "localhost/x:latest"],
  ["localhost:5000/x/y:1.0-rc", "localhost:5000/x/y:1.0-rc"],
  ["[::1]:5000/x", "[::1]:5000/x:latest"],
  [`ghcr.io/a/b@${DIGEST}`, `ghcr.io/a/b@${DIGEST}`],
  [`ghcr.io/a/b:t@${DIGEST}`, `ghcr.io/a/b:t@${DIGEST}`],
];

for (const [typed, canonical] of CASES) {
  Deno.test(`"${typed.slice(0, 30)}" means ${canonical.slice(0, 40)}`, () => {
    assert.equal(parseReference(typed).toString(), canonical);
    assert.equal(parseReference(canonical).toString(), canonical);
  });
}

Deno.test("text that names no image is refused", () => {
  const bad = [
    "",
    "/",
    "UPPER/..",
    "a//b",
    "x:",
    "x:-t",
    "x@sha256:1",
    "h.io/",
    "h.io/../x",
    "a b",
  ];
  for (const text of bad) {
    assert.throws(() => parseReference(text), InvalidReferenceError, text);
  }
});

Deno.test("a request names the digest where there is one", () => {
  assert.equal(parseReference(`x:t@${DIGEST}`).object, DIGEST);
  assert.equal(parseReference("x:t").object, "t");
});
