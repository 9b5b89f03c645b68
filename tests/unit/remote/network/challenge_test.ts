import assert from "node:assert/strict";
import { parseChallenges } from "../../../../lib/remote/network/challenge.ts";

const plain = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => ({
    scheme,
    ...Object.fromEntries(parameters),
  }));

Deno.test("a bearer challenge gives realm, service and scope", () => {
  assert.deepEqual(
    plain(
      'Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push"',
    ),
    [{
      scheme: "bearer",
      realm: "https://auth.example/token",
      service: "reg",
      scope: "repository:a/b:pull,push",
    }],
  );
});

Deno.test("two challenges in one header are told apart", () => {
  assert.deepEqual(plain('Negotiate, Basic realm="a, b", charset=UTF-8'), [
    { scheme: "negotiate" },
    { scheme: "basic", realm: "a, b", charset: "UTF-8" },
  ]);
});

Deno.test("names are matched in any case, quotes are unescaped", () => {
  assert.deepEqual(plain(String.raw`bEaReR Realm = "a\"b"`), [
    { scheme: "bearer", realm: 'a"b' },
  ]);
});

Deno.test("a header that cannot be read gives no challenge", () => {
  assert.deepEqual(plain('realm="x"'), []);
  assert.deepEqual(plain(""), []);
  assert.deepEqual(plain("x".repeat(10_000)), []);
});

Deno.test("a broken parameter ends the list", () => {
  assert.deepEqual(plain('Bearer realm="open'), [{ scheme: "bearer" }]);
});

Deno.test("addresses are read unquoted, too", () => {
  const header =
    "Bearer realm=https://auth.example/token?a=b,service=reg,scope=repository:a/b:pull";
  assert.deepEqual(plain(header), [{
    scheme: "bearer",
    realm: "https://auth.example/token?a=b",
    service: "reg",
    scope: "repository:a/b:pull",
  }]);
});

Deno.test("a ticket instead of parameters does not hide the next challenge", () => {
  assert.deepEqual(
    plain('Negotiate YII=, Basic realm="x"').map(({ scheme }) => scheme),
    ["negotiate", "basic"],
  );
});
