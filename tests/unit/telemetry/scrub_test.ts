import assert from "node:assert/strict";
import fc from "fast-check";
import { scrub, scrubText } from "../../../lib/telemetry/mod.ts";

const SECRET = "s3cr3tValueOfAnAttack";

/** Places where a secret may stand, in what a daemon says of itself. */
const PLACES: readonly unknown[] = [
  `https://user:${SECRET}@registry.example/v2/`,
  `http://${SECRET}@proxy.example:3128`,
  `socks5://a:b${SECRET}@proxy:1`,
  `GET https://bucket.example/blob?X-Amz-Signature=${SECRET}&a=b failed`,
  `Authorization: Bearer ${SECRET}`,
  `authorization=Basic ${SECRET}==`,
  `header "Authorization: Basic ${SECRET}"`,
  `eyJhbGciOiJ.eyJ${SECRET}.${SECRET}`,
  `password=${SECRET}`,
  `PASSWORD: "${SECRET} with blanks"`,
  `registry_password = '${SECRET} and more'`,
  `{"identitytoken":"${SECRET}"}`,
  `{"auth_token": "a\\"${SECRET}"}`,
  `set-cookie: ${SECRET}; path=/`,
  `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
  `-----BEGIN RSA PRIVATE KEY-----\n${SECRET}`,
  { password: SECRET },
  { nested: [{ RegistryToken: SECRET }] },
  { Authorization: SECRET, auth: SECRET, cookie: SECRET },
  { "client-secret": SECRET, privateKey: SECRET, private_key: SECRET },
  { [`https://u:${SECRET}@host/`]: 1 },
];

for (const place of PLACES) {
  Deno.test(`no secret is left: ${JSON.stringify(place)}`, () => {
    const left = JSON.stringify(scrub(place));
    assert.ok(!left.includes(SECRET), left);
  });
}

Deno.test("what is no secret stays as it is", () => {
  const report = {
    image: "registry.example:5000/app/token-service:1.2",
    digest: `sha256:${"0".repeat(64)}`,
    key: "k8s.io/12/extract-1 sha256:ab",
    text: "layer sha256:ab could not be taken whole: HTTP 503",
    numbers: [1, null, true, 2.5],
    url: "https://registry.example/v2/app/manifests/1",
  };
  assert.deepEqual(scrub(report), report);
});

Deno.test("a login in any address is taken out, whatever it is made of", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z0-9!$&()*+,;=:%._~-]{8,40}$/),
      fc.stringMatching(/^[a-z]{3,8}$/),
      (login, host) => {
        const left = scrubText(`see https://${login}@${host}.example/a now`);
        assert.equal(left, `see https://(removed)@${host}.example/a now`);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("a long text takes no longer than its length allows", () => {
  const texts = ["a:", "https://", "password", "Bearer ", '"token": "', "eyJ"];
  for (const part of texts) {
    const long = part.repeat(4_000);
    assert.ok(scrubText(long).length <= long.length * 2);
  }
});
