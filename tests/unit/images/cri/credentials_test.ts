import assert from "node:assert/strict";
import {
  type CriAuth,
  CriCredentials,
} from "../../../../lib/images/cri/mod.ts";

const NONE: CriAuth = {
  ...{ username: "", password: "", auth: "", serverAddress: "" },
  ...{ identityToken: "", registryToken: "" },
};
const AT = ["registry.example", "team/app"] as const;
const image = AT.join("/");

const begin = (logins: CriCredentials, password: string) =>
  logins.begin({ image, auth: { ...NONE, username: "anna", password } });

async function known(logins: CriCredentials): Promise<string | null> {
  const credential = await logins.get(...AT);
  return credential?.kind === "password" ? credential.password : null;
}

Deno.test("a pull's login is tried while it goes on, and stays only if it succeeded", async () => {
  const logins = new CriCredentials();
  const first = begin(logins, "one");
  assert.equal(await known(logins), "one", "containerd asks meanwhile");
  first("failed");
  assert.equal(await known(logins), null);

  begin(logins, "one")("succeeded");
  const second = begin(logins, "two");
  const third = begin(logins, "three");
  assert.equal(await known(logins), "three", "the newest comes first");
  assert.deepEqual(
    logins.handOver(),
    [[image, { kind: "password", username: "anna", password: "one" }]],
    "a successor gets what works",
  );
  third("failed");
  assert.equal(await known(logins), "two");
  second("succeeded");
  assert.equal(await known(logins), "two");
});

Deno.test("a pull's login that a registry refuses comes behind the one that works", async () => {
  const logins = new CriCredentials();
  begin(logins, "right")("succeeded");
  const pull = begin(logins, "wrong");
  logins.refused(...AT); // what was given before: not the new one
  assert.equal(await known(logins), "wrong");
  logins.refused(...AT);
  assert.equal(await known(logins), "right");
  logins.refused(...AT); // the known one: there is no other
  assert.equal(await known(logins), "right");
  pull("failed");
  assert.equal(await known(logins), "right");
});

Deno.test("only logins for the image's own registry are taken", async () => {
  const logins = new CriCredentials();
  const auth = { ...NONE, username: "anna", password: "one" };
  logins.begin({ image, auth: { ...auth, serverAddress: "other.example" } })(
    "succeeded",
  );
  logins.begin({ image: "sha256:0", auth })("succeeded");
  logins.begin({ image, auth: null })("succeeded");
  assert.equal(await known(logins), null);
  const named = { ...auth, serverAddress: "https://Registry.example/v1/" };
  logins.begin({ image, auth: named })("succeeded");
  assert.equal(await known(logins), "one");
});
