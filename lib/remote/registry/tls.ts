import https from "node:https";
import { Readable } from "node:stream";

/** Whom to trust on a TLS connection, and who we are. */
export interface TlsOptions {
  /** PEM certificates to trust beside the system's. */
  readonly caCerts?: readonly string[];
  /** Our own certificate, PEM, where a registry asks for one. */
  readonly clientCert?: { readonly cert: string; readonly key: string };
  /** Take any certificate: whoever is on the way can read and change all. For tests. */
  readonly skipVerify?: boolean;
}

/** Sends one request without following redirects. */
export interface Sender extends Disposable {
  readonly fetch: typeof fetch;
}

/** A sender for these options. @param base used where nothing about TLS is said. */
export function makeSender(tls: TlsOptions, base: typeof fetch): Sender {
  const { caCerts, clientCert, skipVerify } = tls;
  if (skipVerify === true) {
    return { fetch: unverifiedFetch(clientCert, base), [Symbol.dispose]() {} };
  }
  // Without options of its own the global client serves, with one pool for the whole process.
  if (caCerts === undefined && clientCert === undefined) {
    return { fetch: base, [Symbol.dispose]() {} };
  }
  const client = Deno.createHttpClient({
    ...(caCerts !== undefined && { caCerts: [...caCerts] }),
    ...(clientCert !== undefined && clientCert),
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

/** The platform's fetch always verifies, so this goes through Node's client. */
function unverifiedFetch(
  clientCert: TlsOptions["clientCert"],
  base: typeof fetch,
): typeof fetch {
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.protocol !== "https:") return base(input, init);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const request = https.request(url, {
      method: init.method ?? "GET",
      headers: Object.fromEntries(new Headers(init.headers)),
      rejectUnauthorized: false,
      ...clientCert,
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
    // What fetch throws for a lost connection, so that it is taken for one.
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
    return promise;
  };
}
