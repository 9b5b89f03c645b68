import type { Answer } from "./body.ts";
import { BodyTooLarge, discard } from "./body.ts";
import type { Credential } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { Http } from "./http.ts";

/** A request to a token server. */
export interface TokenQuestion {
  readonly realm: URL;
  readonly service: string;
  readonly scopes: readonly string[];
  readonly credential: Exclude<Credential, { kind: "bearer" }> | null;
}

/** A token and its lifetime. */
export interface Token {
  readonly token: string;
  readonly lifeMs: number;
}

/** Statuses of token servers that know OAuth2's POST alone. */
const NO_GET = new Set([405, 501]);
const MAX_TOKEN_BYTES = 2 ** 20;
const MAX_TOKEN_LENGTH = 64 * 1024;
/** The token specification's default lifetime. */
const DEFAULT_LIFE_S = 60;

/** The Basic scheme's header (RFC 7617, UTF-8). */
export function basic(
  { username, password }: Extract<Credential, { kind: "password" }>,
): string {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${bytes.toBase64()}`;
}

/**
 * Fetches a token: by GET, or by POST for identity tokens and where there is no GET (distribution's
 * token and OAuth2 specifications).
 */
export async function fetchToken(
  http: Http,
  to: Endpoint,
  question: TokenQuestion,
): Promise<{ answer: Answer; read: () => Promise<Token> }> {
  const { credential } = question;
  let answer = credential?.kind === "identity"
    ? await postToken(http, to, question, {
      grant_type: "refresh_token",
      refresh_token: credential.token,
    })
    : await getToken(http, to, question);
  if (credential?.kind === "password" && NO_GET.has(answer.status)) {
    await discard(answer);
    const { username, password } = credential;
    const form = { grant_type: "password", username, password };
    answer = await postToken(http, to, question, form);
  }
  return { answer, read: () => readToken(to, answer) };
}

function getToken(
  http: Http,
  to: Endpoint,
  { realm, service, scopes, credential }: TokenQuestion,
): Promise<Answer> {
  const url = new URL(realm);
  if (service !== "") url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  return http.send(to, {
    method: "GET",
    url,
    authorization: credential?.kind === "password" ? basic(credential) : null,
    authorizedOrigin: realm.origin,
  });
}

function postToken(
  http: Http,
  to: Endpoint,
  { realm, service, scopes }: TokenQuestion,
  proof: Readonly<Record<string, string>>,
): Promise<Answer> {
  const form = new URLSearchParams({
    service,
    client_id: "soci-deno",
    scope: scopes.join(" "),
    ...proof,
  });
  return http.send(to, {
    method: "POST",
    url: realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new TextEncoder().encode(form.toString()),
  });
}

async function readToken(to: Endpoint, answer: Answer): Promise<Token> {
  const fail = (detail: string) =>
    new RegistryError({
      kind: "protocol",
      host: to.host,
      repository: to.repository,
      detail: `its token server ${detail}`,
    });
  await using held = answer;
  let value: Record<string, unknown>;
  try {
    const text = new TextDecoder().decode(await held.bytes(MAX_TOKEN_BYTES));
    value = Object(JSON.parse(text));
  } catch (error) {
    if (error instanceof BodyTooLarge) throw fail("answered too much");
    // The parser's message may quote a token.
    if (error instanceof SyntaxError) throw fail("answered no JSON");
    throw error;
  }
  const token = value.token || value.access_token;
  if (
    typeof token !== "string" || token.length > MAX_TOKEN_LENGTH ||
    !/^[\x21-\x7e]+$/.test(token)
  ) {
    throw fail("gave no token");
  }
  const said = value.expires_in;
  const seconds = typeof said === "number" && said > 0 ? said : DEFAULT_LIFE_S;
  return { token, lifeMs: seconds * 1000 };
}
