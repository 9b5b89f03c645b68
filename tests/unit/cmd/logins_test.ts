import assert from "node:assert/strict";
import { UsageError } from "../../../cmd/command.ts";
import { Logins, type LoginValues } from "../../../cmd/logins.ts";
import { boundCredentials } from "../../../lib/remote/registry/mod.ts";
import { O, openFd } from "../../../lib/host/os/mod.ts";

async function withFile(
  text: string,
  test: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "soci-deno-login-" });
  try {
    await Deno.writeTextFile(path, text);
    await test(path);
  } finally {
    await Deno.remove(path);
  }
}

const login = (username: string, password: string) => ({
  kind: "password",
  username,
  password,
  tokenServers: "own",
});

function refused(values: LoginValues, why: RegExp): void {
  assert.throws(
    () => Logins.read(values),
    (error) => {
      assert.ok(error instanceof UsageError, String(error));
      assert.match(error.message, why);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    },
  );
}

Deno.test("a login is for its host alone, with the password that the file has now", () =>
  withFile("first\nnot this\n", async (file) => {
    const { all } = Logins.read({
      user: ["localhost:5000=anna"],
      "password-file": [file],
    });
    const store = boundCredentials(all);
    assert.deepEqual(
      await store.get("localhost:5000", "a"),
      login("anna", "first"),
    );
    for (const host of ["localhost:5001", "localhost", "docker.io"]) {
      assert.equal(await store.get(host, "a"), null);
    }
    await Deno.writeTextFile(file, "second");
    assert.deepEqual(
      await store.get("localhost:5000", "a"),
      login("anna", "second"),
    );
  }));

Deno.test("several logins name the host of each secret, from files and descriptors", () =>
  withFile("of-file\n", async (file) => {
    const other = await Deno.makeTempFile({ prefix: "soci-deno-login-" });
    await Deno.writeTextFile(other, "of-fd");
    const fd = openFd(other, O.RDONLY);
    await Deno.remove(other);
    const logins = Logins.read({
      user: ["ghcr.io=anna", "index.docker.io=bo=b", "r.example="],
      "password-file": [`ghcr.io=${file}`, `r.example=${file}`],
      "password-fd": [`docker.io=${fd}`],
    });
    const store = boundCredentials(logins.all);
    assert.deepEqual(await store.get("ghcr.io", "a"), login("anna", "of-file"));
    assert.deepEqual(await store.get("docker.io", "a"), login("bo=b", "of-fd"));
    assert.deepEqual(await store.get("r.example", "a"), {
      kind: "identity",
      token: "of-file",
      tokenServers: "own",
    });
    assert.throws(() => Deno.readLinkSync(`/proc/self/fd/${fd}`));
  }));

Deno.test("a password or a token in the arguments is refused, with what to say instead", () =>
  withFile("x", async (file) => {
    for (
      const user of ["anna:s3cret", "anna", "anna:s3cret=x", "h.io=anna:s3cret"]
    ) {
      refused(
        { user: [user], "password-file": [file] },
        /no password in its arguments.*--user HOST=NAME.*--password-file/,
      );
    }
    refused({ refresh: "s3cret" }, /no token in its arguments/);
    await Promise.resolve();
  }));

Deno.test("a login without a secret, with two, or with one that cannot be read is refused", () =>
  withFile("", async (empty) => {
    const user = ["h.io=anna"];
    refused({ user, "password-file": [empty] }, /for h\.io is empty/);
    refused({ user, "password-file": ["/none"] }, /cannot be read/);
    refused({ user, "password-fd": ["9999"] }, /cannot be read/);
    refused({ user, "password-fd": ["x"] }, /number of an open file/);
    refused({ user, "password-file": ["a"], "password-fd": ["3"] }, /two/);
    refused({ user, "password-file": ["a", "b"] }, /two for h\.io/);
    refused({ "password-file": ["a"] }, /--user HOST=NAME/);
    refused({ user: ["h.io=a", "h.io=b"] }, /two for one host/);
    refused(
      { user: ["h.io=a", "i.io=b"], "password-file": ["a"] },
      /of which --user/,
    );
    await Promise.resolve();
  }));
