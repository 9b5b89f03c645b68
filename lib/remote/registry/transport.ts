import type { Network } from "../network/mod.ts";
import { type Answer, discard } from "./body.ts";
import { Authenticator, MAX_LOGINS, type Scopes } from "./auth.ts";
import { anonymous } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { Http, type HttpRequest } from "./http.ts";
import type { RegistryClientOptions } from "./options.ts";
import { Transient } from "./retry.ts";
import { statusFailure } from "./status.ts";

/** A request to a registry; see {@link Transport.exchange}. */
export interface RegistryRequest
  extends Omit<HttpRequest, "authorization" | "authorizedOrigin"> {
  readonly scopes: Scopes;
  /** The statuses the caller handles; all others are thrown. */
  readonly accept: readonly number[];
  /** For error messages: `reading blob sha256:…`. */
  readonly doing: string;
  /** Whether to remember where the registry redirects this, and go there at once next time. */
  readonly rememberRedirect?: boolean;
}

const MAX_REMEMBERED = 4096;

/** Sends requests with authentication and remembered redirects. Does not retry: callers do. */
export class Transport implements Disposable {
  readonly #http: Http;
  readonly #authenticator: Authenticator;
  /** Redirect targets (signed addresses) by the address that led there. */
  readonly #targets = new Map<string, URL>();

  constructor(options: RegistryClientOptions) {
    this.#http = new Http(options);
    this.#authenticator = new Authenticator(
      this.#http,
      options.credentials ?? anonymous(),
      options,
    );
  }

  /** What requests go through. */
  get network(): Network {
    return this.#http.network;
  }

  /**
   * Sends a request, and logs in again if the old login is refused.
   * @throws RegistryError for a failure that a retry would not fix.
   * @throws Transient for a failure that it may fix.
   */
  async exchange(to: Endpoint, request: RegistryRequest): Promise<Answer> {
    const answer = await this.#fromTarget(to, request) ??
      await this.#fromRegistry(to, request);
    if (request.accept.includes(answer.status)) return answer;
    throw await statusFailure(to, answer, request.doing);
  }

  /** Asks a remembered redirect target; null if there is none or it no longer works. */
  async #fromTarget(
    to: Endpoint,
    request: RegistryRequest,
  ): Promise<Answer | null> {
    const target = this.#targets.get(request.url.href);
    if (target === undefined) return null;
    try {
      const answer = await this.#http.send(to, { ...request, url: target });
      // Also for 416 and the like: only the registry's own answer is final.
      if (request.accept.includes(answer.status)) return answer;
      this.#forget(request.url, target);
      await discard(answer);
      return null;
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      this.#forget(request.url, target);
      return null;
    }
  }

  async #fromRegistry(to: Endpoint, request: RegistryRequest): Promise<Answer> {
    const { scopes, signal } = request;
    const waiting = <T>(promise: Promise<T>) => unlessAborted(promise, signal);
    let authorization = await waiting(this.#authenticator.current(to, scopes));
    let answer = await this.#send(to, request, authorization);
    for (let tries = 1; tries <= MAX_LOGINS; tries++) {
      // 403 too: ECR answers so for an expired login. Without a login there is nothing to renew, unless
      // the answer says how to log in.
      const fresh = authorization === null;
      const asked = answer.header("www-authenticate") !== null;
      const refused = answer.status === 401 ||
        (answer.status === 403 && (!fresh || asked));
      if (!refused || answer.url.origin !== to.root.origin) break;
      // A new token is another one each time; of passwords another one may be known.
      if (tries > 1 && !authorization?.startsWith("Basic ")) break;
      authorization = await waiting(
        this.#authenticator.after(
          to,
          scopes,
          answer.header("www-authenticate"),
          authorization,
        ),
      ).catch(async (error) => {
        await discard(answer);
        throw error;
      });
      if (authorization === null) break;
      await discard(answer);
      answer = await this.#send(to, request, authorization);
    }
    if (request.rememberRedirect) this.#remember(request, answer);
    return answer;
  }

  #send(
    to: Endpoint,
    request: RegistryRequest,
    authorization: string | null,
  ): Promise<Answer> {
    return this.#http.send(to, {
      ...request,
      authorization,
      authorizedOrigin: to.root.origin,
    });
  }

  #remember({ url, accept }: RegistryRequest, answer: Answer): void {
    if (answer.url.href === url.href || !accept.includes(answer.status)) return;
    const oldest = this.#targets.keys().next();
    if (this.#targets.size >= MAX_REMEMBERED && !oldest.done) {
      this.#targets.delete(oldest.value);
    }
    this.#targets.set(url.href, answer.url);
  }

  #forget(url: URL, target: URL): void {
    // Another request may have stored a newer one.
    if (this.#targets.get(url.href) === target) this.#targets.delete(url.href);
  }

  [Symbol.dispose](): void {
    this.#http[Symbol.dispose]();
  }
}

/** Waits for shared work. The work goes on if this caller aborts. */
function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() =>
      signal.removeEventListener("abort", onAbort)
    );
  });
}
