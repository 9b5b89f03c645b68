import assert from "node:assert/strict";
import {
  CredentialError,
  dockerCredentials,
  firstCredentials,
} from "../../../../lib/remote/registry/mod.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

/** Runs `body` with a folder that holds the given config.json and helper programs. */
async function withDocker(
  config: unknown,
  helpers: Record<string, string>,
  body: (file: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = Deno.env.get("PATH")!;
  try {
    const file = `${folder}/config.json`;
    await Deno.writeTextFile(
      file,
      typeof config === "string" ? config : JSON.stringify(config),
    );
    for (const [name, script] of Object.entries(helpers)) {
      await Deno.writeTextFile(
        `${folder}/docker-credential-${name}`,
        `#!/bin/sh\n${script}\n`,
        { mode: 0o755 },
      );
    }
    Deno.env.set("PATH", `${folder}:${path}`);
    await body(file, folder);
  } finally {
    Deno.env.set("PATH", path);
    await Deno.remove(folder, { recursive: true });
  }
}

const password = (username: string, password: string) => ({
  kind: "password" as const,
  username,
  password,
});

Deno.test("auths gives the name and password of a host", async () => {
  const auths = { "r.example:5000": { auth: btoa("anna:se:cret") } };
  await withDocker({ auths }, {}, async (file) => {
    const store = dockerCredentials(file);
    assert.deepEqual(
      await store.get("r.example:5000", "a"),
      password("anna", "se:cret"),
    );
    assert.equal(await store.get("r.example", "a"), null);
  });
});

Deno.test("an entry written as a URL is found by its host", async () => {
  const auths = { "https://r.example/v2/": { auth: btoa("a:b") } };
  await withDocker({ auths }, {}, async (file) => {
    assert.deepEqual(
      await dockerCredentials(file).get("r.example", "a"),
      password("a", "b"),
    );
  });
});

Deno.test("docker.io is kept under Docker's old key", async () => {
  const auths = { "https://index.docker.io/v1/": { auth: btoa("a:b") } };
  await withDocker({ auths }, {}, async (file) => {
    assert.deepEqual(
      await dockerCredentials(file).get("docker.io", "library/redis"),
      password("a", "b"),
    );
  });
});

Deno.test("identity and registry tokens are told apart", async () => {
  const auths = {
    "i.example": { auth: btoa("x:y"), identitytoken: "id" },
    "b.example": { registrytoken: "tok" },
  };
  await withDocker({ auths }, {}, async (file) => {
    const store = dockerCredentials(file);
    assert.deepEqual(await store.get("i.example", "a"), {
      kind: "identity",
      token: "id",
    });
    assert.deepEqual(await store.get("b.example", "a"), {
      kind: "bearer",
      token: "tok",
    });
  });
});

Deno.test("a helper of one host comes before the store of all", async () => {
  const helpers = {
    mine:
      'read h; [ "$1" = get ] && echo "{\\"ServerURL\\":\\"$h\\",\\"Username\\":\\"u-$h\\",\\"Secret\\":\\"s\\"}"',
    all: 'echo \'{"Username":"<token>","Secret":"refresh"}\'',
  };
  const config = { credHelpers: { "h.example": "mine" }, credsStore: "all" };
  await withDocker(config, helpers, async (file) => {
    const store = dockerCredentials(file);
    assert.deepEqual(
      await store.get("h.example", "a"),
      password("u-h.example", "s"),
    );
    assert.deepEqual(await store.get("other.example", "a"), {
      kind: "identity",
      token: "refresh",
    });
  });
});

Deno.test("a helper that knows no such host leaves the question to auths", async () => {
  const helpers = {
    none: "echo 'credentials not found in native keychain'; exit 1",
  };
  const config = {
    credsStore: "none",
    auths: { "r.example": { auth: btoa("a:b") } },
  };
  await withDocker(config, helpers, async (file) => {
    const store = dockerCredentials(file);
    assert.deepEqual(await store.get("r.example", "a"), password("a", "b"));
    assert.equal(await store.get("s.example", "a"), null);
  });
});

Deno.test("a failing or missing helper is an error that shows no output", async () => {
  const helpers = { bad: "echo topsecret; exit 3" };
  for (const credsStore of ["bad", "missing-helper", "../bad"]) {
    await withDocker({ credsStore }, helpers, async (file) => {
      await assert.rejects(
        dockerCredentials(file).get("r.example", "a"),
        (error) =>
          error instanceof CredentialError &&
          !error.message.includes("topsecret"),
      );
    });
  }
});

Deno.test("no file means nobody, a broken one is an error without its text", async () => {
  assert.equal(await dockerCredentials("/nonexistent").get("r", "a"), null);
  await withDocker('{"auths": topsecret', {}, async (file) => {
    await assert.rejects(
      dockerCredentials(file).get("r.example", "a"),
      (error) =>
        error instanceof CredentialError &&
        !error.message.includes("topsecret"),
    );
  });
});

Deno.test("DOCKER_CONFIG names the folder, and a new login counts at once", async () => {
  await withDocker({}, {}, async (file, folder) => {
    const before = Deno.env.get("DOCKER_CONFIG");
    Deno.env.set("DOCKER_CONFIG", folder);
    try {
      const store = dockerCredentials();
      assert.equal(await store.get("r.example", "a"), null);
      const auths = { "r.example": { username: "a", password: "b" } };
      await Deno.writeTextFile(file, JSON.stringify({ auths }));
      assert.deepEqual(await store.get("r.example", "a"), password("a", "b"));
    } finally {
      if (before === undefined) Deno.env.delete("DOCKER_CONFIG");
      else Deno.env.set("DOCKER_CONFIG", before);
    }
  });
});

Deno.test("the first store that knows a host answers", async () => {
  const store = firstCredentials([
    staticCredentials("a", "b", ["one.example"]),
    staticCredentials("c", "d"),
  ]);
  assert.deepEqual(await store.get("one.example", "x"), password("a", "b"));
  assert.deepEqual(await store.get("two.example", "x"), password("c", "d"));
});

const paths = {
  "r.example": { auth: btoa("host:1") },
  "r.example/team": { auth: btoa("team:1") },
  "https://r.example/team/app": { auth: btoa("app:1") },
  "r.example/teamwork": { auth: btoa("work:1") },
  "other.example/team": { auth: btoa("other:1") },
};

for (
  const [repository, username] of [
    ["x", "host"],
    ["team", "team"],
    ["team/other", "team"],
    ["team/application", "team"],
    ["team/app", "app"],
    ["team/app/deep", "app"],
    ["teamwork/x", "work"],
    ["teams", "host"],
  ] as const
) {
  Deno.test(`the longest path that covers ${repository} is ${username}'s`, async () => {
    await withDocker({ auths: paths }, {}, async (file) => {
      assert.deepEqual(
        await dockerCredentials(file).get("r.example", repository),
        password(username, "1"),
      );
    });
  });
}

Deno.test("a path's entry is for no one outside of it", async () => {
  const auths = {
    "r.example/teama": { auth: btoa("a:1") },
    "r.example/teamb": { auth: btoa("b:1") },
  };
  await withDocker({ auths }, {}, async (file) => {
    const store = dockerCredentials(file);
    assert.equal(await store.get("r.example", "teamc/x"), null);
    assert.deepEqual(
      await store.get("r.example", "teamb/x"),
      password("b", "1"),
    );
  });
});

Deno.test("a star stands for something within one label, and a plain name comes before it", async () => {
  const auths = {
    "*.r.example": { auth: btoa("star:1") },
    "a.r.example": { auth: btoa("plain:1") },
    "*.r.example/team": { auth: btoa("deep:1") },
    "r-*.example:5000": { auth: btoa("port:1") },
  };
  await withDocker({ auths }, {}, async (file) => {
    const store = dockerCredentials(file);
    const name = async (host: string, repository: string) =>
      (await store.get(host, repository) as { username?: string } | null)
        ?.username ?? null;
    assert.equal(await name("a.r.example", "x"), "plain");
    assert.equal(await name("b.r.example", "x"), "star");
    assert.equal(await name("a.r.example", "team/x"), "deep");
    assert.equal(await name("r-1.example:5000", "x"), "port");
    assert.equal(await name("r-1.example", "x"), null);
    assert.equal(await name("r.example", "x"), null);
    assert.equal(await name("b.c.r.example", "x"), null);
    assert.equal(await name("b-r.example", "x"), null);
  });
});

Deno.test("helpers are asked for the path they are named for, and the host where they know none", async () => {
  const helper = `read host
case "$host" in
  r.example/team) echo '{"Username":"team","Secret":"1"}' ;;
  r.example) echo '{"Username":"host","Secret":"1"}' ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac`;
  const config = {
    credsStore: "paths",
    auths: { "r.example/team": {}, "r.example/none": {} },
  };
  await withDocker(config, { paths: helper }, async (file) => {
    const store = dockerCredentials(file);
    const user = async (repository: string) =>
      await store.get("r.example", repository);
    assert.deepEqual(await user("team/x"), password("team", "1"));
    assert.deepEqual(await user("none/x"), password("host", "1"));
    assert.deepEqual(await user("x"), password("host", "1"));
  });
});
