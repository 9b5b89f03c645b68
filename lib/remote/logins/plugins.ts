import {
  type Credential,
  credentialIn,
  type CredentialStore,
  isCovered,
  type Repository,
} from "../registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import {
  readDocument,
  type Table,
  tableOf,
  tablesOf,
  textOf,
  textsOf,
} from "./documents.ts";
import { LoginSetupError } from "./errors.ts";
import { runForJson } from "./run.ts";

const log = logger("logins");
const API = /^credentialprovider\.kubelet\.k8s\.io\/(v1|v1beta1|v1alpha1)$/;
/** Answers that are kept; the oldest are forgotten first. */
const MAX_KEPT = 4096;
/** A plugin whose answer was refused is asked again after so long at the soonest, ms. */
const REFUSED_MS = 5_000;
const UNIT_MS: Readonly<Record<string, number>> = {
  ...{ ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 },
};

/** A plugin as the kubelet's configuration describes it. */
interface Plugin {
  readonly program: string;
  readonly apiVersion: string;
  readonly matchImages: readonly string[];
  readonly cacheMs: number;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What a plugin said. */
interface Kept {
  readonly auths: Promise<Table>;
  untilMs: number;
  readonly sinceMs: number;
}

/**
 * Asks the kubelet's credential-provider plugins, with the kubelet's own configuration. The first plugin that covers
 * an image and has a login for it is used. Answers are kept for as long as they say, or until they are refused.
 */
export class CredentialPlugins implements CredentialStore {
  readonly #plugins: readonly Plugin[];
  readonly #kept = new Map<string, Kept>();

  /**
   * Reads the configuration; runs nothing yet.
   * @param path a CredentialProviderConfig. @param folder holds the plugins.
   * @throws LoginSetupError
   */
  constructor(path: string, folder: string) {
    this.#plugins = tablesOf(readDocument(path).providers)
      .map((table) => pluginOf(table, path, folder));
  }

  async get(host: string, repository: string): Promise<Credential | null> {
    for (const plugin of this.#plugins) {
      if (!isCovered(plugin.matchImages, { host, repository })) continue;
      try {
        const auths = await this.#ask(plugin, { host, repository });
        const found = credentialIn(auths, { host, repository }, plugin.program);
        if (found !== null) return found;
      } catch (error) {
        if (!(error instanceof LoginSetupError)) throw error;
        log.warn("a credential plugin gives nothing", { error: error.message });
      }
    }
    return null;
  }

  refused(host: string, repository: string): void {
    const now = performance.now();
    for (const [key, kept] of this.#kept) {
      const isOf = key.endsWith(` ${host}/${repository}`) ||
        key.endsWith(` ${host}`) || key.endsWith(" ");
      if (isOf && now - kept.sinceMs > REFUSED_MS) this.#kept.delete(key);
    }
  }

  /** What a plugin says of an image: kept, or asked for once by all who wait. */
  #ask(plugin: Plugin, { host, repository }: Repository): Promise<Table> {
    const image = `${host}/${repository}`;
    const keys = [image, host, ""].map((of) => `${plugin.program} ${of}`);
    const now = performance.now();
    for (const key of keys) {
      const kept = this.#kept.get(key);
      if (kept === undefined) continue;
      if (now < kept.untilMs) return kept.auths;
      this.#kept.delete(key);
    }
    const [own = "", ofHost = "", ofAll = ""] = keys;
    const asking = runForJson(plugin.program, {
      args: plugin.args,
      env: plugin.env,
      input: {
        apiVersion: plugin.apiVersion,
        kind: "CredentialProviderRequest",
        image,
      },
    });
    const auths = asking.then((answer) => tableOf(answer.auth));
    const kept: Kept = { auths, untilMs: Infinity, sinceMs: now };
    this.#keep(own, kept);
    asking.then((answer) => {
      this.#kept.delete(own);
      const said = durationMs(textOf(answer.cacheDuration));
      const untilMs = performance.now() + (said ?? plugin.cacheMs);
      const key = { Registry: ofHost, Global: ofAll }[
        textOf(answer.cacheKeyType)
      ] ?? own;
      this.#keep(key, { ...kept, untilMs });
    }, () => this.#kept.delete(own));
    return auths;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.set(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(oldest!);
  }
}

function pluginOf(table: Table, path: string, folder: string): Plugin {
  const name = textOf(table.name);
  const fail = (why: string) =>
    new LoginSetupError(`${path}: plugin "${name}" ${why}`);
  // The kubelet's own rule: a name, no path.
  if (!/^[\w.-]+$/.test(name) || name === "." || name === "..") {
    throw fail("has no name of a program");
  }
  const apiVersion = textOf(table.apiVersion);
  if (!API.test(apiVersion)) throw fail(`has apiVersion "${apiVersion}"`);
  if (table.tokenAttributes !== undefined) {
    log.warn(
      "a plugin wants tokens of pods' accounts, which only the kubelet has; it is passed over",
      {
        plugin: name,
      },
    );
  }
  return {
    program: `${folder.replace(/\/+$/, "")}/${name}`,
    apiVersion,
    matchImages: table.tokenAttributes === undefined
      ? textsOf(table.matchImages)
      : [],
    cacheMs: durationMs(textOf(table.defaultCacheDuration)) ?? 0,
    args: textsOf(table.args),
    env: Object.fromEntries(
      tablesOf(table.env).map((one) => [textOf(one.name), textOf(one.value)]),
    ),
  };
}

/** A duration as Go writes it, `12h0m0s`; null where it is none. */
function durationMs(text: string): number | null {
  if (text === "0") return 0;
  if (!/^(?:\d+(?:\.\d*)?(?:ns|us|ms|s|m|h))+$/.test(text)) return null;
  return [...text.matchAll(/([\d.]+)([a-z]+)/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNIT_MS[unit!] ?? 0),
    0,
  );
}
