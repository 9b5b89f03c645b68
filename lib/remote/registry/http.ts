import { logger, redactUrl } from "../../telemetry/mod.ts";
import {
  forbiddenLead,
  givenAddress,
  HostRefusedError,
  type Network,
  ownNetwork,
  type Sender,
  type TlsOptions,
} from "../network/mod.ts";
import { Answer, discard, IdleTimeout, Watchdog } from "./body.ts";
import { Dials } from "./dials.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { RegistryClientOptions } from "./options.ts";
import { Transient } from "./retry.ts";

/**
 * A request's body. A stream is opened again for every try, and must call `touch` as it is sent.
 */
export type RequestBody =
  | Uint8Array<ArrayBuffer>
  | ((touch: () => void) => ReadableStream<Uint8Array<ArrayBuffer>>);

/** One request, including the redirects it follows. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  readonly signal?: AbortSignal | undefined;
  /** The `Authorization` header; sent only to `authorizedOrigin`. */
  readonly authorization?: string | null;
  readonly authorizedOrigin?: string;
  /**
   * Whether the body may follow a redirect. Default: it may not, because it may be a secret meant
   * for one server. A blob's bytes are not secret.
   */
  readonly redirectedWrites?: "followed";
  /** The answer is a whole blob, which may take any time as long as more of it comes. */
  readonly isStream?: boolean;
  /**
   * Many MB come by this request and those beside it. They come by HTTP/1.1: of what a GB costs over TLS, HTTP/2 takes
   * a tenth, and all requests would share one connection. What is small and many is better off with HTTP/2.
   */
  readonly isBulk?: boolean;
}

const log = logger("registry");
const MAX_HOPS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** An upload slower than this counts as dead. */
const MIN_UPLOAD_BYTES_PER_MS = 16;

/**
 * Sends requests. Applies timeouts, follows redirects hop by hop, and turns network failures into
 * our errors.
 */
export class Http implements Disposable {
  /** What requests go through. */
  readonly network: Network;
  readonly #tls: TlsOptions;
  /** One sender, and so one connection pool, per TLS configuration. */
  readonly #senders = new Map<string, Sender>();
  readonly #userAgent: string;
  readonly #logged: boolean;
  readonly #options: RegistryClientOptions;
  readonly #dials: Dials;

  constructor(options: RegistryClientOptions) {
    this.network = options.network ?? ownNetwork(options.fetch);
    this.#dials = new Dials(this.network);
    this.#tls = options;
    this.#userAgent = options.userAgent ?? "soci-deno";
    this.#logged = options.logged ?? true;
    this.#options = options;
  }

  /**
   * Follows redirects itself, because each hop is a security decision. Credentials go only to the
   * origin they are for, and a redirect cannot leave TLS.
   * @param to the endpoint that errors name.
   */
  async send(to: Endpoint, request: HttpRequest): Promise<Answer> {
    let { url } = request;
    for (let hop = 0; hop <= MAX_HOPS; hop++) {
      const answer = await this.#hop(to, request, url);
      if (!REDIRECTS.has(answer.status)) return answer;
      const { status } = answer;
      const location = answer.header("location");
      await discard(answer);
      url = await nextHop(to, request, url, {
        ...{ status, location },
        network: this.network,
      });
    }
    throw protocolError(to, `over ${MAX_HOPS} redirects`);
  }

  async #hop(to: Endpoint, request: HttpRequest, url: URL): Promise<Answer> {
    const { body, signal, authorization, authorizedOrigin } = request;
    const headers = new Headers(request.headers);
    headers.set("user-agent", this.#userAgent);
    // Digests and ranges refer to the bytes as stored; a compressed transfer would change them.
    headers.set("accept-encoding", "identity");
    if (url.origin === to.root.origin) {
      for (const [name, value] of Object.entries(to.place?.headers ?? {})) {
        headers.set(name, value);
      }
    }
    if (authorization != null && url.origin === authorizedOrigin) {
      headers.set("authorization", authorization);
    }
    const sendMs = body instanceof Uint8Array
      ? body.length / MIN_UPLOAD_BYTES_PER_MS
      : 0;
    // Read with each request: a configuration may be reloaded.
    const { headersMs = 15_000, idleMs = 20_000, ...limits } =
      this.#options.timeouts ?? {};
    const { dialMs, requestMs } = { ...limits, ...ownLimits(to) };
    const watchdog = new Watchdog(
      headersMs + sendMs,
      signal,
      request.isStream ? Infinity : requestMs,
    );
    const touch = () => watchdog.touch(idleMs + headersMs);
    using dial = this.#dials.begin(url, dialMs, (why) => watchdog.end(why));
    try {
      const response = await this.#sender(to, url, request).fetch(url, {
        method: request.method,
        headers,
        redirect: "manual",
        signal: watchdog.signal,
        ...(body !== undefined &&
          { body: typeof body === "function" ? body(touch) : body }),
      });
      dial.answered();
      watchdog.touch(idleMs);
      if (this.#logged) {
        log.debug("request", {
          method: request.method,
          url: redactUrl(url),
          status: response.status,
        });
      }
      return new Answer(response, url, watchdog);
    } catch (error) {
      watchdog[Symbol.dispose]();
      signal?.throwIfAborted();
      throw connectionFailure(to, error);
    }
  }

  /**
   * The registry's own origin gets its whole TLS configuration. Another host it leads to (a blob
   * store, a token server) is checked against its authorities too, but does not get the client
   * certificate configured for the registry. Verification is skipped there only if the whole client
   * skips it.
   */
  #sender(to: Endpoint, url: URL, { isBulk }: HttpRequest): Sender {
    const place = to.place?.tls;
    const { caCerts, clientCert, skipVerify } = this.#tls;
    const own = url.origin === to.root.origin;
    const authorities = [...caCerts ?? [], ...place?.caCerts ?? []];
    const certificate = own ? place?.clientCert ?? clientCert : clientCert;
    const anything = skipVerify === true || (own && place?.skipVerify === true);
    const tls: TlsOptions = {
      ...(authorities.length > 0 && { caCerts: authorities }),
      ...(certificate !== undefined && { clientCert: certificate }),
      ...(anything && { skipVerify: true }),
      ...(isBulk && url.protocol === "https:" && { onlyHttp1: true }),
    };
    const key = JSON.stringify(tls);
    let sender = this.#senders.get(key);
    if (sender === undefined) {
      sender = this.network.sender(tls);
      this.#senders.set(key, sender);
    }
    return sender;
  }

  [Symbol.dispose](): void {
    for (const sender of this.#senders.values()) sender[Symbol.dispose]();
  }
}

/** What a place says of its times. */
function ownLimits(
  { place }: Endpoint,
): { dialMs?: number; requestMs?: number } {
  const { dialMs, requestMs } = place ?? {};
  return {
    ...(dialMs !== undefined && { dialMs }),
    ...(requestMs !== undefined && { requestMs }),
  };
}

function protocolError(
  { host, repository }: Endpoint,
  detail: string,
): RegistryError {
  return new RegistryError({ kind: "protocol", host, repository, detail });
}

/** A redirect that keeps method and body (RFC 9110 §15.4). */
const KEEPS_METHOD = new Set([307, 308]);

async function nextHop(
  to: Endpoint,
  { method, redirectedWrites }: HttpRequest,
  from: URL,
  { status, location, network }: {
    readonly status: number;
    readonly location: string | null;
    readonly network: Network;
  },
): Promise<URL> {
  const next = givenAddress(location, from);
  if (next === null) throw protocolError(to, "a redirect leads nowhere");
  const lead = await forbiddenLead(from, next, network.lookup);
  if (lead !== null) {
    throw protocolError(to, `a redirect leads ${lead}, ${redactUrl(next)}`);
  }
  const reads = method === "GET" || method === "HEAD";
  const follows = redirectedWrites === "followed" && KEEPS_METHOD.has(status);
  if (!reads && !follows) {
    throw protocolError(to, `a ${method} is redirected to ${redactUrl(next)}`);
  }
  return next;
}

/**
 * Turns a connection that was lost or never made into an error that is retried. The runtime's error
 * is not kept as the cause: it quotes the URL, which may be signed.
 */
export function connectionFailure(to: Endpoint, error: unknown): unknown {
  if (error instanceof RegistryError || error instanceof Transient) {
    return error;
  }
  const text = innermostMessage(error);
  const unavailable = (detail: string) =>
    new RegistryError({
      kind: "unavailable",
      host: to.host,
      repository: to.repository,
      detail,
    });
  if (error instanceof IdleTimeout) {
    return new Transient(unavailable(`no answer, ${text}`));
  }
  const detail = text.replace(/ for url \(.*\)(?=: |$)/g, "")
    .replace(/https?:\/\/\S*/g, "(address)");
  if (/certificate|UnknownIssuer/i.test(detail)) {
    return unavailable(`its TLS certificate is not trusted: ${detail}`);
  }
  if (/InvalidContentType/.test(detail)) {
    return unavailable("it answers plain HTTP where HTTPS was expected");
  }
  if (error instanceof HostRefusedError) return unavailable(text);
  // Errors of the caller's body source and of our own code are not network failures.
  if (!(error instanceof TypeError) && !isSystemError(error)) return error;
  return new Transient(unavailable(detail));
}

/** The runtime wraps the real cause in "fetch failed". */
function innermostMessage(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) {
    inner = inner.cause;
  }
  return inner instanceof Error ? inner.message : String(inner);
}

function isSystemError(error: unknown): boolean {
  return error instanceof Deno.errors.Http ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionRefused ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.TimedOut;
}
