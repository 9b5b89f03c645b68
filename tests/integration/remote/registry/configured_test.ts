/** What keys of the configuration change for requests, against registries that are slow, silent or particular. */
import assert from "node:assert/strict";
import { clientWith } from "../../../../cmd/registry_flags.ts";
import { parseConfig } from "../../../../lib/config/load.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  type CredentialStore,
  parseReference,
  type RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  noise,
  type RegistryOptions,
  startRegistry,
  type TestRegistry,
} from "../../../support/registry/mod.ts";
import { deafHost } from "./deaf_host.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

const NEVER = "[http]\nMaxRetries = 1\nMinWaitMsec = 1\n";

function clientOf(toml: string, credentials?: CredentialStore): RegistryClient {
  const { config, findings } = parseConfig(toml, "test");
  assert.deepEqual(findings, []);
  return clientWith(
    credentials ?? { get: () => Promise.resolve(null) },
    {},
    () => config,
  );
}

/** Reads a range of a blob. */
async function read(
  client: RegistryClient,
  registry: TestRegistry,
  repository = "team/app",
): Promise<void> {
  const bytes = noise(100_000);
  const { digest } = registry.addBlob(repository, bytes);
  const from = parseReference(`${registry.host}/${repository}:1`);
  const into = new Uint8Array(50_000);
  await client.range(from, digest, 0, into.length, into);
}

Deno.test("a host that takes no connection is given up after http.DialTimeoutMsec, one that is slow to answer is not", async () => {
  await using deaf = await deafHost();
  await using slow = startRegistry();
  slow.intercept = async () => {
    await new Promise((resolve) => setTimeout(resolve, 600));
    return null;
  };
  using client = clientOf(
    `${NEVER}DialTimeoutMsec = 200\nResponseHeaderTimeoutMsec = 20000\n`,
  );
  await assert.rejects(
    client.manifest(parseReference(`${deaf.host}/team/app:1`)),
    /no connection within 200 ms/,
  );
  await read(client, slow);
});

Deno.test("a request that goes on and on is ended after http.RequestTimeoutMsec, the stream of a whole blob is not", async () => {
  const trickle = () => {
    let sent = 0;
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        controller.enqueue(new Uint8Array([32]));
        if (++sent === 16) controller.close();
      },
    });
  };
  await using registry = startRegistry();
  registry.intercept = (path) =>
    new Response(trickle(), {
      headers: {
        "content-type": "application/vnd.oci.image.manifest.v1+json",
        ...(path.includes("/blobs/") && { "content-length": "16" }),
      },
    });
  using client = clientOf(`${NEVER}RequestTimeoutMsec = 300\n`);
  const from = parseReference(`${registry.host}/team/app:1`);
  await assert.rejects(
    client.manifest(from),
    /it was not over within 300 ms/,
  );
  const digest = sha256(new Uint8Array([1]));
  let bytes = 0;
  for await (const chunk of await client.blob(from, { digest, size: 16 })) {
    bytes += chunk.length;
  }
  assert.equal(bytes, 16);
});

Deno.test("a range that is tried again and again is given up after blob.fetching_timeout_sec", async () => {
  await using registry = startRegistry();
  registry.faults.add({ kind: "status", status: 503 });
  using client = clientOf(
    "[http]\nMinWaitMsec = 100\nMaxWaitMsec = 100\nMaxRetries = 1000\n[blob]\nfetching_timeout_sec = 1\n",
  );
  await assert.rejects(
    read(client, registry),
    /a range did not come within 1000 ms/,
  );
  assert.ok(registry.faults.taken > 1);
});

Deno.test("a mirror has its own request_timeout_sec, after which the host itself is asked", async () => {
  await using registry = startRegistry();
  await using mirror = startRegistry();
  mirror.faults.add({ kind: "silence", on: "all" });
  using client = clientOf(`
    [http]
    ResponseHeaderTimeoutMsec = 60000
    MinWaitMsec = 1
    [[resolver.host."${registry.host}".mirrors]]
    host = "${mirror.host}"
    insecure = true
    request_timeout_sec = 1
  `);
  await read(client, registry);
  assert.ok(mirror.faults.taken > 0);
});

/** How often a store is asked while two repositories are read twice each. */
async function asked(
  toml: string,
  auth: NonNullable<RegistryOptions["auth"]>,
  pauseMs = 0,
): Promise<number> {
  await using registry = startRegistry({ auth });
  let count = 0;
  const login = staticCredentials("anna", "secret");
  using client = clientOf(toml, {
    get: (...of) => {
      count++;
      return login.get(...of);
    },
  });
  for (const _ of [1, 2]) {
    await read(client, registry, "team/one");
    await read(client, registry, "team/two");
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return count;
}

Deno.test("a login is looked up anew after resolver.auth_client_ttl_sec, and shared where it may be", async () => {
  const auth = { kind: "basic", username: "anna", password: "secret" } as const;
  assert.equal(await asked("", auth), 2); // each repository once
  assert.equal(
    await asked("[resolver]\nauth_client_ttl_sec = -1\n", auth, 10),
    2,
  );
  assert.equal(
    await asked("[resolver]\nauth_client_ttl_sec = 1\n", auth, 1100),
    4,
  );
  assert.equal(
    await asked("[resolver]\nenable_auth_client_sharing = true\n", auth),
    1,
  );
});

Deno.test("a shared login that is refused is looked up anew", async () => {
  await using registry = startRegistry({
    auth: { kind: "basic", username: "anna", password: "new" },
  });
  let password = "old";
  using client = clientOf("[resolver]\nenable_auth_client_sharing = true\n", {
    get: (...of) => staticCredentials("anna", password).get(...of),
  });
  await assert.rejects(read(client, registry, "team/one"), /401|login|refused/);
  password = "new";
  await read(client, registry, "team/one");
  await read(client, registry, "team/two");
});

Deno.test("network.hosts names the only hosts that are asked, also where the registry leads elsewhere", async () => {
  await using registry = startRegistry({ redirect: { lifeMs: 60_000 } });
  using none = clientOf('[network]\nhosts = ["registry.example"]\n');
  await assert.rejects(
    none.manifest(parseReference(`${registry.host}/team/app:1`)),
    /is not among \[network\] hosts/,
  );
  assert.equal(registry.requests.length, 0);
  using some = clientOf(`[network]\nhosts = ["${registry.host}"]\n`);
  await assert.rejects(read(some, registry), /is not among \[network\] hosts/);
  assert.ok(registry.requests.every(({ server }) => server === "registry"));
});
