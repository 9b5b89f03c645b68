import {
  forbiddenLead,
  givenAddress,
  hiddenLead,
  isHere,
} from "./addresses.ts";
import { parseChallenges } from "./challenge.ts";
import { isLoopback } from "./loopback.ts";
import { beyondLimit } from "./limit.ts";
import type { Lookup } from "./network.ts";

/** The most origins that are remembered; the one that was learned first is forgotten. */
const MAX_LED = 1024;
/** A name that is not found by then is one that cannot be looked up here, ms. */
const LOOKUP_MS = 2000;

/**
 * Which hosts are asked: those that were named at the start, and those to which these have led since, by a
 * redirect, an upload's place or a token server's. Code that asks for another host is not answered, so it can send
 * what it knows only where the registry would have it sent.
 */
export class Gate {
  /** `host` or `host:port`, as in URLs. */
  readonly #named: ReadonlySet<string>;
  /** Origins; a value says why one is not asked although a registry led there. */
  readonly #led = new Map<string, string | null>();
  readonly #lookup: Lookup;
  readonly #only: readonly string[];

  /** @param only the hosts that are asked at all; empty: any. */
  constructor(
    hosts: readonly string[],
    lookup: Lookup,
    only: readonly string[] = [],
  ) {
    this.#only = only;
    this.#named = new Set(
      hosts.flatMap((host) =>
        ["http", "https"].map((scheme) => URL.parse(`${scheme}://${host}/`))
      ).filter((url) => url !== null).map((url) => url.host),
    );
    this.#lookup = (name) => withinMs(lookup(name), LOOKUP_MS);
  }

  /** Why an address is not asked; null if it is. */
  refusal(url: URL): string | null {
    if (!/^https?:$/.test(url.protocol)) return `${url.protocol} is not spoken`;
    const beyond = beyondLimit(url, this.#only);
    if (beyond !== null) return beyond;
    if (this.#named.has(url.host)) return null;
    const why = this.#led.get(url.origin);
    return why === undefined
      ? `${url.host} is no host that the command line names, and no registry led there`
      : why;
  }

  /** Learns from an answer where its registry leads. */
  async learn(from: URL, headers: Headers): Promise<void> {
    const location = givenAddress(headers.get("location"), from);
    if (location !== null) await this.#lead(from, location, "moved");
    const challenge = headers.get("www-authenticate");
    if (challenge === null) return;
    for (const { parameters } of parseChallenges(challenge)) {
      const realm = givenAddress(
        parameters.get("realm") || null,
        new URL("/", from),
      );
      if (realm !== null) await this.#lead(from, realm, "token server");
    }
  }

  async #lead(
    from: URL,
    to: URL,
    as: "moved" | "token server",
  ): Promise<void> {
    if (this.#named.has(to.host) || this.#led.get(to.origin) === null) return;
    const lookup = this.#lookup;
    // As in `auth.ts`: a registry on this machine may name a token server by plain HTTP here.
    const local = as === "token server" && isLoopback(to.host) &&
      await isHere(from, lookup);
    const lead = local
      ? null
      : await forbiddenLead(from, to, lookup) ?? await hiddenLead(
        from,
        to,
        lookup,
      );
    this.#led.delete(to.origin);
    this.#led.set(
      to.origin,
      lead === null ? null : `${from.host} leads ${lead}`,
    );
    const [oldest] = this.#led.keys();
    if (this.#led.size > MAX_LED) this.#led.delete(oldest!);
  }
}

function withinMs<T>(promise: Promise<T>, limitMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`nothing within ${limitMs} ms`)),
    limitMs,
  );
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
