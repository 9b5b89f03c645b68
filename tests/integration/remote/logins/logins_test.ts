/** Logins of Kubernetes: secrets of an API that lists and watches, and the kubelet's plugins, which are programs. */
import assert from "node:assert/strict";
import {
  CredentialPlugins,
  KubernetesSecrets,
  LoginSetupError,
} from "../../../../lib/remote/logins/mod.ts";
import {
  type CredentialStore,
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { sociDenoCommand, tryRun } from "../../../support/host/mod.ts";
import { noise, startRegistry } from "../../../support/registry/mod.ts";

async function inFolder(body: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-kube-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function until(met: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !await met(); tries++) {
    assert.ok(tries < 500, "it does not come");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A secret as Kubernetes' API shows it. */
function secret(name: string, version: number, auths: Record<string, unknown>) {
  return {
    metadata: { namespace: "team", name, resourceVersion: String(version) },
    type: "kubernetes.io/dockerconfigjson",
    data: { ".dockerconfigjson": btoa(JSON.stringify({ auths })) },
  };
}

const login = (username: string, password: string) => ({
  auth: btoa(`${username}:${password}`),
});

/** An API with image-pull secrets. */
function startApi(
  token: string,
  watch: "stays" | "ends" | "too old" = "stays",
) {
  const items: ReturnType<typeof secret>[] = [];
  const watches = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const asked: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      const { pathname, searchParams } = new URL(request.url);
      asked.push(searchParams.get("watch") === "1" ? "watch" : "list");
      if (request.headers.get("authorization") !== `Bearer ${token}`) {
        return new Response(null, { status: 403 });
      }
      assert.equal(pathname, "/api/v1/secrets");
      assert.equal(
        searchParams.get("fieldSelector"),
        "type=kubernetes.io/dockerconfigjson",
      );
      if (searchParams.get("watch") !== "1") {
        // Two pages.
        const second = searchParams.get("continue") === "more";
        return Response.json({
          metadata: {
            resourceVersion: "100",
            ...(!second && { continue: "more" }),
          },
          items: second ? items.slice(1) : items.slice(0, 1),
        });
      }
      if (watch === "ends") return new Response("");
      if (watch === "too old") return new Response(null, { status: 410 });
      let held: ReadableStreamDefaultController<Uint8Array>;
      return new Response(
        new ReadableStream<Uint8Array>({
          start(controller) {
            watches.add(held = controller);
          },
          cancel() {
            watches.delete(held);
          },
        }),
      );
    },
  );
  return {
    items,
    asked,
    url: `http://127.0.0.1:${server.addr.port}`,
    watching: () => watches.size > 0,
    tell(type: string, object: unknown) {
      const line = `${JSON.stringify({ type, object })}\n`;
      const bytes = new TextEncoder().encode(line);
      // A line may come in two pieces.
      for (const watch of watches) {
        watch.enqueue(bytes.slice(0, 7));
        watch.enqueue(bytes.slice(7));
      }
    },
    async [Symbol.asyncDispose]() {
      for (const watch of watches) watch.close();
      await server.shutdown();
    },
  };
}

async function kubeconfig(folder: string, server: string, user: unknown) {
  const path = `${folder}/kubeconfig`;
  await Deno.writeTextFile(
    path,
    `apiVersion: v1
kind: Config
current-context: here
contexts:
- name: here
  context: {cluster: one, user: me}
clusters:
- name: one
  cluster:
    server: ${server}
users:
- name: me
  user: ${JSON.stringify(user)}
`,
  );
  return path;
}

/** Reads a blob of a registry that asks for a login. */
async function reads(
  registry: ReturnType<typeof startRegistry>,
  credentials: CredentialStore,
): Promise<void> {
  using client = new RegistryClient({
    credentials,
    retry: { retries: 0 },
  });
  const { digest } = registry.addBlob("team/app", noise(1000));
  const from = parseReference(`${registry.host}/team/app:1`);
  await client.range(from, digest, 0, 100, new Uint8Array(100));
}

Deno.test("image-pull secrets are logins: those that were there, new ones, and no longer those that are deleted", () =>
  inFolder(async (folder) => {
    await using registry = startRegistry({
      auth: { kind: "basic", username: "anna", password: "first" },
    });
    await using api = startApi("t0ken");
    api.items.push(
      secret("other", 1, { "elsewhere.example": login("x", "y") }),
      secret("pull", 2, { [registry.host]: login("anna", "first") }),
    );
    await Deno.writeTextFile(`${folder}/token`, "t0ken\n");
    using secrets = new KubernetesSecrets(
      await kubeconfig(folder, api.url, { tokenFile: "token" }),
    );
    await reads(registry, secrets);
    assert.equal(await secrets.get("none.example", "a"), null);
    await until(() => Promise.resolve(api.watching()));
    // A rotated password counts at once.
    const passwordOf = async () => {
      const found = await secrets.get(registry.host, "team/app");
      return found?.kind === "password" ? found.password : null;
    };
    api.tell(
      "MODIFIED",
      secret("pull", 101, { [registry.host]: login("anna", "second") }),
    );
    await until(async () => await passwordOf() === "second");
    api.tell("BOOKMARK", { metadata: { resourceVersion: "150" } });
    api.tell("DELETED", secret("pull", 151, {}));
    await until(async () => await passwordOf() === null);
    // What it saw is too old: everything is listed again.
    api.items.push(
      secret("new", 200, { [`${registry.host}/team`]: login("anna", "third") }),
    );
    api.items.splice(0, 2);
    const lists = () => api.asked.filter((one) => one === "list").length;
    const before = lists();
    api.tell("ERROR", { code: 410 });
    await until(async () => await passwordOf() === "third");
    assert.ok(lists() > before);
    assert.equal(await secrets.get(registry.host, "others/app"), null);
  }));

Deno.test("a secret of another tenant with a login that does not work keeps nobody from the one that does", async (t) => {
  for (const kind of ["basic", "bearer"] as const) {
    await t.step(kind, () =>
      inFolder(async (folder) => {
        await using registry = startRegistry({
          auth: { kind, username: "anna", password: "right" },
        });
        await using api = startApi("t0ken");
        const { host } = registry;
        api.items.push(
          secret("aaa", 1, { [`${host}/team/app`]: login("mallory", "x") }),
          secret("aab", 2, { [host]: login("anna", "wrong") }),
          secret("pull", 3, { [host]: login("anna", "right") }),
        );
        using secrets = new KubernetesSecrets(
          await kubeconfig(folder, api.url, { token: "t0ken" }),
        );
        await reads(registry, secrets);
        // What was refused is not asked first again; a changed secret is tried.
        const found = () => secrets.get(host, "team/app");
        assert.deepEqual(await found(), {
          ...{ kind: "password", username: "anna", password: "right" },
        });
        await until(() => Promise.resolve(api.watching()));
        api.tell(
          "MODIFIED",
          secret("aaa", 4, { [host]: login("eve", "new") }),
        );
        await until(async () => {
          const now = await found();
          return now?.kind === "password" && now.username === "eve";
        });
      }));
  }
});

Deno.test("an API that ends each watch, or gives none, is not asked all the time", async (t) => {
  for (const watch of ["ends", "too old"] as const) {
    await t.step(watch, () =>
      inFolder(async (folder) => {
        await using api = startApi("t0ken", watch);
        using _secrets = new KubernetesSecrets(
          await kubeconfig(folder, api.url, { token: "t0ken" }),
        );
        await until(() => Promise.resolve(api.asked.includes("watch")));
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.ok(api.asked.length <= 6, `asked ${api.asked.length} times`);
      }));
  }
});

Deno.test("where no login works the first is tried again, and the error says so", () =>
  inFolder(async (folder) => {
    await using registry = startRegistry({
      auth: { kind: "bearer", username: "anna", password: "right" },
    });
    await using api = startApi("t0ken");
    for (const name of ["a", "b"]) {
      api.items.push(
        secret(name, 1, { [registry.host]: login("anna", name) }),
      );
    }
    using secrets = new KubernetesSecrets(
      await kubeconfig(folder, api.url, { token: "t0ken" }),
    );
    await assert.rejects(
      reads(registry, secrets),
      /its token server refused the login/,
    );
    const found = await secrets.get(registry.host, "team/app");
    assert.ok(found?.kind === "password" && found.password === "a");
  }));

Deno.test("a kubeconfig that cannot be used is told, without what is in it", () =>
  inFolder(async (folder) => {
    const path = `${folder}/kubeconfig`;
    assert.throws(() => new KubernetesSecrets(path), /is not there/);
    await Deno.writeTextFile(path, 'users: [{token: "s3cret"}\n');
    assert.throws(() => new KubernetesSecrets(path), (error) => {
      assert.ok(error instanceof LoginSetupError);
      assert.match(error.message, /is no YAML/);
      assert.ok(!error.message.includes("s3cret"));
      return true;
    });
    await Deno.writeTextFile(path, "current-context: there\n");
    assert.throws(
      () => new KubernetesSecrets(path),
      /there is no context "there"/,
    );
  }));

Deno.test("serve looks for a kubeconfig as kubectl does, and says what it does not find", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(
      `${folder}/config.toml`,
      "[kubeconfig_keychain]\nenable_keychain = true\n",
    );
    const { program, args } = sociDenoCommand(
      ...["serve", "--config", `${folder}/config.toml`],
      ...["--root", `${folder}/root`, "--address", `${folder}/s.sock`],
    );
    const { code, stderr } = await tryRun(program, args, {
      timeoutMs: 60_000,
      env: { KUBECONFIG: `${folder}/none` },
    });
    assert.equal(code, 1);
    assert.match(stderr, /none is not there/);
  }));

/** A plugin that notes how often it ran, and says what a file says. */
async function plugin(folder: string, answer: unknown): Promise<string> {
  await Deno.mkdir(`${folder}/bin`, { recursive: true });
  await Deno.writeTextFile(`${folder}/answer`, JSON.stringify(answer));
  await Deno.writeTextFile(
    `${folder}/bin/login-plugin`,
    `#!/bin/sh
{ cat; echo; echo "$@" "$PLACE"; } >>"${folder}/asked"
cat "${folder}/answer"
`,
    { mode: 0o755 },
  );
  const path = `${folder}/providers.yaml`;
  await Deno.writeTextFile(
    path,
    `apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: login-plugin
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["127.0.*.1:*", "*.registry.example/team"]
  defaultCacheDuration: 12h
  args: [get-credentials]
  env: [{name: PLACE, value: here}]
`,
  );
  return path;
}

const asked = async (folder: string) =>
  (await Deno.readTextFile(`${folder}/asked`)).trim().split("\n")
    .filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));

Deno.test("the kubelet's plugins are asked for images that they cover, once for as long as they say", () =>
  inFolder(async (folder) => {
    const answer = {
      kind: "CredentialProviderResponse",
      apiVersion: "credentialprovider.kubelet.k8s.io/v1",
      cacheKeyType: "Registry",
      cacheDuration: "1h",
      auth: {
        "*.registry.example": { username: "anna", password: "secret" },
      },
    };
    const plugins = new CredentialPlugins(
      await plugin(folder, answer),
      `${folder}/bin`,
    );
    const host = "a.registry.example";
    const found = { kind: "password", username: "anna", password: "secret" };
    assert.equal(await plugins.get(host, "others/app"), null);
    assert.equal(await plugins.get("elsewhere.example", "team/app"), null);
    assert.deepEqual(
      await Promise.all([
        plugins.get(host, "team/one"),
        plugins.get(host, "team/one"),
      ]),
      [found, found],
    );
    assert.deepEqual(await plugins.get(host, "team/two"), found);
    assert.deepEqual(await asked(folder), [{
      apiVersion: "credentialprovider.kubelet.k8s.io/v1",
      kind: "CredentialProviderRequest",
      image: `${host}/team/one`,
    }]);
    assert.match(
      await Deno.readTextFile(`${folder}/asked`),
      /^get-credentials here$/m,
    );
    await Deno.writeTextFile(
      `${folder}/answer`,
      JSON.stringify({ ...answer, cacheKeyType: "Image", cacheDuration: "0" }),
    );
    await plugins.get("b.registry.example", "team/one");
    await plugins.get("b.registry.example", "team/one");
    assert.equal((await asked(folder)).length, 3);
  }));

Deno.test("a plugin that fails or says nothing useful leaves the image to others", () =>
  inFolder(async (folder) => {
    const path = await plugin(folder, {});
    const plugins = new CredentialPlugins(path, `${folder}/bin`);
    const get = () => plugins.get("a.registry.example", "team/app");
    assert.equal(await get(), null);
    await Deno.writeTextFile(
      `${folder}/bin/login-plugin`,
      "#!/bin/sh\nexit 3\n",
    );
    assert.equal(
      await new CredentialPlugins(path, `${folder}/bin`).get(
        "a.registry.example",
        "team/app",
      ),
      null,
    );
    await Deno.remove(`${folder}/bin/login-plugin`);
    assert.equal(
      await new CredentialPlugins(path, `${folder}/bin`).get(
        "a.registry.example",
        "team/app",
      ),
      null,
    );
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace("login-plugin", "../sh"));
    assert.throws(
      () => new CredentialPlugins(path, `${folder}/bin`),
      /has no name of a program/,
    );
  }));
