import { readPart, scene } from "./helpers.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

const login = { username: "anna", password: "secret" };
const client = { credentials: staticCredentials("anna", "secret") };

/** What the registry asks for a token with; `URL` stands for its own address. */
const BEARER: Readonly<Record<string, string>> = {
  "in single quotes": "Bearer realm='URL/token',service='test'",
  "without commas": 'Bearer realm="URL/token" service="test"',
  "with a comma at the end": 'Bearer realm="URL/token",service="test",',
  "with an empty service": 'Bearer realm="URL/token",service=,scope=""',
  "with spaces around": 'Bearer  realm = " URL/token " , service = "test"',
  "relative": 'Bearer realm="token",service="test"',
  "behind an error":
    'Bearer error="invalid_token", error_description="x, y", realm="URL/token"',
  "behind another without realm": 'Bearer error="x", Bearer realm="URL/token"',
  "behind Basic": 'Basic realm="r", Bearer realm="URL/token",service="test"',
  "behind others": 'Negotiate, NTLM TlRM=, Bearer realm="URL/token"',
  "before a broken parameter": 'Bearer realm="URL/token",service="test',
};

const BASIC: Readonly<Record<string, string>> = {
  "without realm": "basic",
  "with an unquoted realm of two words": "Basic realm=my registry",
  "behind a bearer without realm": 'Bearer service="x", Basic realm="r"',
  "beside a charset": 'Basic charset="UTF-8", realm="r"',
};

for (
  const [kind, forms] of [["bearer", BEARER], ["basic", BASIC]] as const
) {
  for (const [form, challenge] of Object.entries(forms)) {
    for (const status of [401, 403]) {
      scene(`a ${kind} challenge ${form}, by ${status}, is met`, {
        registry: { auth: { kind, ...login } },
        client,
      }, async (s) => {
        const { registry } = s;
        registry.intercept = (path, request) => {
          if (path === "/token") return null;
          if (registry.gate.check(request, "team/app", "pull") === null) {
            return null;
          }
          const header = challenge.replace("URL", registry.url);
          const headers = { "www-authenticate": header };
          return new Response(null, { status, headers });
        };
        await readPart(s, 0, 10);
      });
    }
  }
}

for (const status of [405, 501]) {
  scene(`a token server without GET (${status}) is asked by POST`, {
    registry: { auth: { kind: "bearer", ...login } },
    client,
  }, async (s) => {
    const { registry } = s;
    registry.intercept = async (path, request) => {
      if (path !== "/token") return null;
      if (request.method === "GET") return new Response(null, { status });
      const form = new URLSearchParams(await request.text());
      const asked = `${form.get("username")}:${form.get("password")}`;
      return await registry.gate.token(
        new Request(`${registry.url}/token?scope=${form.get("scope")}`, {
          headers: { authorization: `Basic ${btoa(asked)}` },
        }),
      );
    };
    await readPart(s, 0, 10);
  });
}
