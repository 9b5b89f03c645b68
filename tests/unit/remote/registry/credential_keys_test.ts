import assert from "node:assert/strict";
import { dockerCredentials } from "../../../../lib/remote/registry/mod.ts";

/** The user name that a config.json gives for a repository; null: none. */
async function userOf(
  config: unknown,
  host: string,
  repository: string,
): Promise<string | null> {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, JSON.stringify(config));
    const found = await dockerCredentials(file).get(host, repository);
    return found?.kind === "password" ? found.username : null;
  } finally {
    await Deno.remove(file);
  }
}

const entriesOf = (...keys: string[]) => ({
  auths: Object.fromEntries(
    keys.map((key) => [key, { auth: btoa(`${key.replace(/:/g, "")}:1`) }]),
  ),
});

for (
  const key of [
    "r.example/team",
    "r.example/team/",
    "r.example//team",
    "https://r.example/team",
    "https://r.example/team/",
    "http://r.example/team",
    "HTTPS://R.Example/team",
    "https://r.example/v2/team/",
    "r.example/team/app",
    "*.example/team",
    "https://*.example/team/",
    "r.*/team",
    "?.example/team",
    "[q-s].example/team",
  ]
) {
  Deno.test(`${key} covers r.example/team/app`, async () => {
    const config = entriesOf(key, "r.example", "r.example/other");
    const user = await userOf(config, "r.example", "team/app");
    assert.equal(user, key.replace(/:/g, ""));
    assert.equal(await userOf(config, "r.example", "teams/app"), "r.example");
  });
}

for (
  const key of [
    "r.example:5000",
    "r.example:5000/",
    "https://r.example:5000",
    "r.example:5000/team",
    "*.example:5000/team/",
  ]
) {
  Deno.test(`${key} is for that port alone`, async () => {
    const config = entriesOf(key);
    const user = key.replace(/:/g, "");
    assert.equal(await userOf(config, "r.example:5000", "team/app"), user);
    assert.equal(await userOf(config, "r.example", "team/app"), null);
    assert.equal(await userOf(config, "r.example:5001", "team/app"), null);
  });
}

for (
  const key of [
    "docker.io",
    "https://docker.io",
    "index.docker.io",
    "https://index.docker.io/v1/",
    "https://index.docker.io/v1",
    "https://index.docker.io/v2/",
    "https://registry-1.docker.io/v2/",
    "registry-1.docker.io",
    "docker.io/team",
    "docker.io/team/",
    "https://index.docker.io/v1/team",
    "index.docker.io/team/app",
  ]
) {
  Deno.test(`${key} is for images of Docker Hub`, async () => {
    const user = key.replace(/:/g, "");
    assert.equal(await userOf(entriesOf(key), "docker.io", "team/app"), user);
    const both = entriesOf("https://index.docker.io/v1/", key);
    assert.equal(
      await userOf(both, "docker.io", "team/app"),
      key.includes("team") ? user : "https//index.docker.io/v1/",
    );
  });
}

for (
  const [key, host] of [
    ["*", "r.example"],
    ["*.example", "a.r.example"],
    ["*.example", "example"],
    ["r.example/team/*", "r.example"],
    ["r.example/te*", "r.example"],
    ["r.example.evil", "r.example"],
    ["example", "r.example"],
    ["evil/r.example", "r.example"],
    ["https://evil/r.example/team", "r.example"],
    ["https://r.example@evil/team", "r.example"],
    ["[a-b].example", "r.example"],
    ["[^r].example", "r.example"],
    ["??.example", "r.example"],
    ["[.example", "r.example"],
  ] as const
) {
  Deno.test(`${key} is not for ${host}/team/app`, async () => {
    assert.equal(await userOf(entriesOf(key), host, "team/app"), null);
  });
}

/** Runs with a helper program that answers as `script` says. */
async function withHelper(
  script: string,
  body: (helper: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = Deno.env.get("PATH")!;
  try {
    await Deno.writeTextFile(
      `${folder}/docker-credential-keys`,
      `#!/bin/sh\n${script}\n`,
      { mode: 0o755 },
    );
    Deno.env.set("PATH", `${folder}:${path}`);
    await body("keys");
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
}

const ECHO =
  `read host; echo "{\\"Username\\":\\"$host\\",\\"Secret\\":\\"1\\"}"`;

for (
  const [key, host, asked] of [
    ["docker.io/team", "docker.io", "docker.io/team"],
    ["index.docker.io/team", "docker.io", "docker.io/team"],
    ["https://r.example/team/", "r.example", "r.example/team"],
    ["r.example", "r.example", "r.example"],
    ["docker.io", "docker.io", "https://index.docker.io/v1/"],
  ] as const
) {
  Deno.test(`the helper of ${key} is asked for ${asked}`, () =>
    withHelper(ECHO, async (helper) => {
      const config = { credHelpers: { [key]: helper } };
      assert.equal(await userOf(config, host, "team/app"), asked);
    }));
}

Deno.test("a host whose helper is the empty name has its login in the file", () =>
  withHelper(ECHO, async (helper) => {
    const config = {
      auths: { "r.example": { auth: btoa("file:1") } },
      credHelpers: { "r.example": "" },
      credsStore: helper,
    };
    assert.equal(await userOf(config, "r.example", "a"), "file");
    assert.equal(await userOf(config, "s.example", "a"), "s.example");
  }));

Deno.test("a store that knows no paths does not hide a path's login in the file", () =>
  withHelper(
    `read host; case "$host" in */*) echo "bad address"; exit 1;; esac
echo '{"Username":"host","Secret":"1"}'`,
    async (helper) => {
      const config = { ...entriesOf("r.example/team"), credsStore: helper };
      assert.equal(
        await userOf(config, "r.example", "team/a"),
        "r.example/team",
      );
      assert.equal(await userOf(config, "r.example", "other/a"), "host");
    },
  ));
