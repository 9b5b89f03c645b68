import { failure } from "./http.ts";

/** How clients prove who they are. */
export type RegistryAuth =
  | { kind: "none" }
  | { kind: "basic"; username: string; password: string }
  | {
    kind: "bearer";
    username: string;
    password: string;
    /** A refresh token that is accepted too, by POST. */
    refreshToken?: string;
    /** Default 300. */
    tokenLifeSeconds?: number;
    /** Reading needs no login, only a token. */
    anonymousPull?: boolean;
  };

/** Checks requests and issues tokens. */
export class AuthGate {
  readonly #tokens = new Map<string, { scopes: string[]; expiresAt: number }>();
  /** Tokens issued so far. */
  issued = 0;

  constructor(
    private readonly auth: RegistryAuth,
    private readonly origin: () => string,
  ) {}

  /** Revokes all tokens. */
  revoke(): void {
    this.#tokens.clear();
  }

  /** The refusal of a request, or null when it may pass. */
  check(
    request: Request,
    repository: string,
    action: "pull" | "push",
  ): Response | null {
    const { auth } = this;
    if (auth.kind === "none") return null;
    const [scheme, value = ""] = (request.headers.get("authorization") ?? "")
      .split(" ");
    if (auth.kind === "basic") {
      const good = btoa(`${auth.username}:${auth.password}`);
      if (scheme === "Basic" && value === good) return null;
      return refusal('Basic realm="test registry"');
    }
    const token = scheme === "Bearer" ? this.#tokens.get(value) : undefined;
    if (token !== undefined && Date.now() < token.expiresAt) {
      if (repository === "") return null;
      const covers = token.scopes.some((scope) => {
        const [type, name, actions = ""] = scope.split(":");
        return type === "repository" && name === repository &&
          actions.split(",").includes(action);
      });
      if (covers) return null;
    }
    const actions = action === "push" ? "pull,push" : "pull";
    const scope = repository === ""
      ? ""
      : `,scope="repository:${repository}:${actions}"`;
    return refusal(
      `Bearer realm="${this.origin()}/token",service="test"${scope}`,
    );
  }

  /** A refusal, whatever the request carries. */
  refuse(): Response {
    const { kind } = this.auth;
    if (kind === "none") return failure(401, "UNAUTHORIZED");
    return refusal(
      kind === "basic"
        ? 'Basic realm="test registry"'
        : `Bearer realm="${this.origin()}/token",service="test"`,
    );
  }

  /** The token server. */
  async token(request: Request): Promise<Response> {
    const { auth } = this;
    if (auth.kind !== "bearer") return new Response(null, { status: 404 });
    let scopes: string[];
    let known: boolean;
    if (request.method === "POST") {
      const form = new URLSearchParams(await request.text());
      scopes = (form.get("scope") ?? "").split(" ");
      known = form.get("grant_type") === "refresh_token" &&
        auth.refreshToken !== undefined &&
        form.get("refresh_token") === auth.refreshToken;
      if (!known) return new Response(null, { status: 401 });
    } else {
      scopes = new URL(request.url).searchParams.getAll("scope");
      const good = btoa(`${auth.username}:${auth.password}`);
      const header = request.headers.get("authorization");
      known = header === `Basic ${good}`;
      const anonymous = header === null && auth.anonymousPull === true;
      if (!known && !anonymous) return new Response(null, { status: 401 });
    }
    if (!known) scopes = scopes.map((scope) => scope.replace(/,push$/, ""));
    const token = crypto.randomUUID();
    const seconds = auth.tokenLifeSeconds ?? 300;
    this.#tokens.set(token, {
      scopes,
      expiresAt: Date.now() + seconds * 1000,
    });
    this.issued++;
    return Response.json({ token, expires_in: seconds });
  }
}

function refusal(challenge: string): Response {
  return Response.json({
    errors: [{ code: "UNAUTHORIZED", message: "authentication required" }],
  }, { status: 401, headers: { "www-authenticate": challenge } });
}
