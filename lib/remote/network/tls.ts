import { connectThrough, proxyOf, type Variable } from "./proxy.ts";

/** Whom to trust on a TLS connection, who we are, and what is spoken on it. */
export interface TlsOptions {
  /** PEM certificates to trust in addition to the system's. */
  readonly caCerts?: readonly string[];
  /** Our client certificate, PEM, for registries that ask for one. */
  readonly clientCert?: { readonly cert: string; readonly key: string };
  /** Accept any certificate. For tests only: anyone on the way can read and change everything. */
  readonly skipVerify?: boolean;
  /** Speak HTTP/1.1, by as many connections as there are requests, also where HTTP/2 can be had. */
  readonly onlyHttp1?: boolean;
}

/** Sends one request without following redirects. */
export interface Sender extends Disposable {
  /** As the global one, for one request. */
  readonly fetch: typeof fetch;
}

/**
 * Makes a sender for these options.
 * @param base used if there are no TLS options.
 * @param variable says which proxies there are, to what is not Deno's fetch. Default: the environment.
 */
export function makeSender(
  tls: TlsOptions,
  base: typeof fetch,
  variable?: Variable,
): Sender {
  const { caCerts, clientCert, skipVerify, onlyHttp1 = false } = tls;
  if (skipVerify === true) {
    const fetch = unverifiedFetch(clientCert, base, variable);
    return { fetch, [Symbol.dispose]() {} };
  }
  // Without TLS options, use the global client and its one connection pool.
  if (caCerts === undefined && clientCert === undefined && !onlyHttp1) {
    return { fetch: base, [Symbol.dispose]() {} };
  }
  const client = Deno.createHttpClient({
    ...(caCerts !== undefined && { caCerts: [...caCerts] }),
    ...(clientCert !== undefined && clientCert),
    http2: !onlyHttp1,
  });
  return {
    fetch: (input, init) =>
      base(
        input,
        { ...init, client } as RequestInit & Record<"client", unknown>,
      ),
    [Symbol.dispose]: () => client.close(),
  };
}

/** Deno's fetch always verifies, so this uses Node's client. */
function unverifiedFetch(
  clientCert: TlsOptions["clientCert"],
  base: typeof fetch,
  variable: Variable | undefined,
): typeof fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol !== "https:") return await base(input, init);
    // Loaded here: hardly anyone wants this, and everyone would wait for it.
    const [{ default: https }, { Readable }] = await Promise.all([
      import("node:https"),
      import("node:stream"),
    ]);
    init.signal?.throwIfAborted();
    const proxy = proxyOf(url, variable);
    const socket = proxy === null
      ? null
      : await connectThrough(proxy, url, init.signal);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const request = https.request(url, {
      method: init.method ?? "GET",
      headers: Object.fromEntries(new Headers(init.headers)),
      rejectUnauthorized: false,
      // Without authorities of its own it would ask for the system's, to compare nothing with them.
      ca: [],
      ...clientCert,
      ...(socket !== null && { socket, agent: false as const }),
    }, (answer) => {
      const status = answer.statusCode ?? 502;
      const headers = new Headers();
      for (const [name, value] of Object.entries(answer.headers)) {
        for (const one of [value].flat()) {
          if (one !== undefined) headers.append(name, one);
        }
      }
      const bodyless = init.method === "HEAD" || status === 204 ||
        status === 304;
      if (bodyless) answer.resume();
      resolve(
        new Response(
          bodyless ? null : Readable.toWeb(answer) as ReadableStream,
          { status, headers },
        ),
      );
    });
    // As fetch does for a lost connection, so that it is recognised as one.
    request.on("error", (cause) =>
      reject(
        init.signal?.aborted
          ? init.signal.reason
          : new TypeError("fetch failed", { cause }),
      ));
    init.signal?.addEventListener("abort", () => request.destroy(), {
      once: true,
    });
    const body = init.body;
    if (body instanceof ReadableStream) {
      Readable.fromWeb(body as never).on("error", reject).pipe(request);
    } else request.end(body ?? undefined);
    return await promise;
  };
}
