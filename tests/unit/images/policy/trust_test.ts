import assert from "node:assert/strict";
import { Claimants } from "../../../../lib/images/lazy/claimants.ts";
import { isNamed } from "../../../../lib/images/policy/trust.ts";
import {
  type Credential,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";

Deno.test("repositories that may bring indexes are named by patterns", () => {
  const of = (...patterns: string[]) =>
    isNamed({ host: "r.example:5000", repository: "team/app" }, patterns);
  assert.ok(of("**"));
  assert.ok(of("r.example:5000/team/app"));
  assert.ok(of("r.example:5000/**"));
  assert.ok(of("other", "*/team/*"));
  assert.ok(!of("r.example:5000/*"));
  assert.ok(!of("r.example:5000/team"));
  assert.ok(!of("rxexample:5000/team/app"));
  assert.ok(!of());
});

Deno.test("claimants differ by namespace, repository and credentials, and nothing of these is in their names", async () => {
  const root = Deno.makeTempDirSync();
  let credential: Credential | null = null;
  const get = () => {
    if (credential?.kind === "identity") throw new Error("no helper");
    return Promise.resolve(credential);
  };
  using client = new RegistryClient({ credentials: { get } });
  const of = (namespace: string, repository: string, folder = root) =>
    new Claimants(client, folder).of(namespace, { host: "r", repository });
  const anonymous = await of("a", "x");
  assert.equal(anonymous.fingerprint, "anonymous");
  const ids = [anonymous.id, (await of("b", "x")).id, (await of("a", "y")).id];
  credential = { kind: "bearer", token: "secret" };
  const known = await of("a", "x");
  ids.push(known.id);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal((await of("a", "x")).id, known.id, "after a restart, too");
  assert.ok(!JSON.stringify(known).includes("secret"));
  const other = Deno.makeTempDirSync();
  assert.notEqual((await of("a", "x", other)).fingerprint, known.fingerprint);
  assert.equal(Deno.statSync(`${root}/node-secret`).mode! & 0o777, 0o600);
  credential = { kind: "identity", token: "" };
  assert.equal((await of("a", "x")).fingerprint, "unknown");
  for (const folder of [root, other]) {
    Deno.removeSync(folder, { recursive: true });
  }
});
