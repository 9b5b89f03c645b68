import { setTimeout as rest } from "node:timers/promises";
import {
  type Credential,
  CredentialError,
  credentialIn,
  type CredentialStore,
} from "../registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { type Table, tableOf, tablesOf, textOf } from "./documents.ts";
import { LoginSetupError } from "./errors.ts";
import { findApi, type KubernetesApi } from "./kubeconfig.ts";
import { lines } from "./lines.ts";

const log = logger("logins");
const TYPE = "kubernetes.io/dockerconfigjson";
const PAGE = 500;
/** The most secrets that are kept. */
const MAX_SECRETS = 20_000;
/** The first login waits so long for the first list, ms: an image may be pulled right after the start. */
const FIRST_LIST_MS = 5_000;
/** How long one watch lasts, seconds; the server may end it before. */
const WATCH_S = 300;
/** Waits after a failure, ms: at first, at most. Half of it is random, so that a fleet does not come at once. */
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 60_000;

/** A login that was refused comes behind all others for so long, ms. */
const REFUSED_MS = 10 * 60_000;
/** Repositories of which the last login is remembered; the oldest is forgotten first. */
const MAX_GIVEN = 4096;

/** Thrown inside this file: what was seen is too old, everything is listed again. */
class Expired extends Error {}

/**
 * Logins of all image-pull secrets of a cluster (`kubernetes.io/dockerconfigjson`). They are listed once and watched
 * from then on, so that a new or changed secret counts at once.
 */
export class KubernetesSecrets implements CredentialStore, Disposable {
  /** The `auths` of each secret, by namespace and name. */
  #secrets = new Map<string, Table>();
  /** The secret whose login was given last, by repository. */
  readonly #given = new Map<string, Table>();
  /** By secret: repositories of which its login was refused, and until when it comes last there, ms. */
  readonly #refused = new WeakMap<Table, Map<string, number>>();
  readonly #listed = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  readonly #path: string | null;

  /**
   * Begins to list and watch.
   * @param path of a kubeconfig; null: found as kubectl does.
   * @throws LoginSetupError
   */
  constructor(path: string | null) {
    this.#path = path;
    findApi(path); // fail now rather than at the first pull
    this.#run();
  }

  async get(host: string, repository: string): Promise<Credential | null> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, FIRST_LIST_MS);
    await Promise.race([this.#listed.promise, late.promise]);
    clearTimeout(timer);
    const of = `${host}/${repository}`;
    const now = performance.now();
    let last: { readonly auths: Table; readonly found: Credential } | null =
      null;
    for (const [name, auths] of this.#secrets) {
      try {
        const found = credentialIn(auths, { host, repository }, name);
        if (found === null) continue;
        if (now >= (this.#refused.get(auths)?.get(of) ?? -Infinity)) {
          return this.#give(of, auths, found);
        }
        last ??= { auths, found };
      } catch (error) {
        if (!(error instanceof CredentialError)) throw error;
        log.warn("a secret cannot be read", { secret: name });
      }
    }
    return last && this.#give(of, last.auths, last.found);
  }

  #give(of: string, auths: Table, found: Credential): Credential {
    this.#given.delete(of);
    this.#given.set(of, auths);
    const [oldest] = this.#given.keys();
    if (this.#given.size > MAX_GIVEN) this.#given.delete(oldest!);
    return found;
  }

  /**
   * Secrets are of all namespaces, and whoever may make one anywhere can name any registry in it: a login that does
   * not work there must not keep the others from being tried.
   */
  refused(host: string, repository: string): void {
    const of = `${host}/${repository}`;
    const auths = this.#given.get(of);
    if (auths === undefined) return;
    const until = this.#refused.get(auths) ?? new Map<string, number>();
    this.#refused.set(auths, until);
    if (until.size >= MAX_GIVEN) until.clear();
    until.set(of, performance.now() + REFUSED_MS);
  }

  /** Ends the watch. */
  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#listed.resolve();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      try {
        // Asked each time: files may name another server, and tokens end.
        const api = findApi(this.#path);
        using client = Deno.createHttpClient({
          caCerts: [...api.caCerts],
          ...api.certificate,
        });
        let version = await this.#list(api, client);
        this.#listed.resolve();
        failures = 0;
        while (!signal.aborted) {
          const beganMs = performance.now();
          version = await this.#watch(api, client, version);
          // Some proxies end each watch at once.
          const early = performance.now() - beganMs < FIRST_WAIT_MS;
          if (early) await this.#pause(FIRST_WAIT_MS);
        }
      } catch (error) {
        if (signal.aborted) return;
        const full = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures++);
        const waitMs = full / 2 + Math.random() * full / 2;
        if (error instanceof Expired) {
          await this.#pause(waitMs);
          continue;
        }
        log.warn(
          "Kubernetes' image-pull secrets cannot be had, it is tried again",
          {
            error: error instanceof LoginSetupError
              ? error.message
              : `the API cannot be reached (${
                error instanceof Error ? error.name : "error"
              })`,
          },
        );
        await this.#pause(waitMs);
      }
    }
  }

  /** Ends sooner when the watch does. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    await rest(ms, undefined, { signal }).catch(() => {}); // it was ended
  }

  /** Takes all secrets. @returns the version that a watch begins with */
  async #list(api: KubernetesApi, client: Deno.HttpClient): Promise<string> {
    const secrets = new Map<string, Table>();
    for (let next = "";;) {
      const page = tableOf(
        await (await this.#ask(api, client, {
          limit: String(PAGE),
          ...(next !== "" && { continue: next }),
        })).json(),
      );
      for (const item of tablesOf(page.items)) keep(secrets, item);
      const { continue: more, resourceVersion } = tableOf(page.metadata);
      next = textOf(more);
      if (next !== "") continue;
      this.#secrets = secrets;
      log.info("image-pull secrets are watched", { secrets: secrets.size });
      return textOf(resourceVersion);
    }
  }

  /** Follows changes until the server ends the watch. @returns the last version that was seen */
  async #watch(
    api: KubernetesApi,
    client: Deno.HttpClient,
    version: string,
  ): Promise<string> {
    const answer = await this.#ask(api, client, {
      watch: "1",
      allowWatchBookmarks: "true",
      resourceVersion: version,
      timeoutSeconds: String(WATCH_S),
    });
    let last = version;
    for await (const line of lines(answer.body!)) {
      const { type, object } = tableOf(JSON.parse(line));
      const item = tableOf(object);
      if (type === "ERROR") throw new Expired();
      last = textOf(tableOf(item.metadata).resourceVersion) || last;
      if (type === "DELETED") this.#secrets.delete(nameOf(item));
      else if (type !== "BOOKMARK") keep(this.#secrets, item);
    }
    return last;
  }

  async #ask(
    { server, authorization }: KubernetesApi,
    client: Deno.HttpClient,
    query: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const url = new URL(`${server}/api/v1/secrets`);
    url.searchParams.set("fieldSelector", `type=${TYPE}`);
    for (const [key, value] of Object.entries(query)) {
      url.searchParams.set(key, value);
    }
    const login = await authorization();
    const answer = await fetch(url, {
      headers: {
        accept: "application/json",
        ...(login !== null && { authorization: login }),
      },
      redirect: "error",
      signal: this.#stop.signal,
      client,
    });
    if (answer.ok) return answer;
    await answer.body?.cancel();
    if (answer.status === 410) throw new Expired();
    throw new LoginSetupError(
      answer.status === 401 || answer.status === 403
        ? `the API at ${url.host} answers ${answer.status}: the account needs list and watch of secrets in all namespaces`
        : `the API at ${url.host} answers ${answer.status}`,
    );
  }
}

function nameOf(item: Table): string {
  const { namespace, name } = tableOf(item.metadata);
  return `${textOf(namespace)}/${textOf(name)}`;
}

/** Keeps what a secret says of logins; one that cannot be read counts as empty. */
function keep(secrets: Map<string, Table>, item: Table): void {
  if (textOf(item.type) !== TYPE) return;
  const name = nameOf(item);
  if (secrets.size >= MAX_SECRETS && !secrets.has(name)) return;
  try {
    const text = new TextDecoder().decode(
      Uint8Array.from(
        atob(textOf(tableOf(item.data)[".dockerconfigjson"])),
        (c) => c.charCodeAt(0),
      ),
    );
    secrets.set(name, tableOf(tableOf(JSON.parse(text)).auths));
  } catch {
    secrets.delete(name);
    log.warn("a secret holds no Docker configuration", { secret: name });
  }
}
