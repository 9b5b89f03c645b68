/** The configuration in force, which SIGHUP has read again. @module */
import {
  type Config,
  ConfigError,
  configKeyName,
  loadConfig,
} from "../lib/config/mod.ts";
import { logger } from "../lib/telemetry/mod.ts";

const log = logger("serve");

/** Tables and keys that are read whenever they are needed. All others are used at the start alone. */
const LIVE = [
  ...["http", "resolver", "mount_timeout_sec", "snapshotter.min_layer_size"],
  ...["blob.max_retries", "blob.min_wait_msec", "blob.max_wait_msec"],
  ...["blob.fetching_timeout_sec", "blob.valid_interval", "blob.check_always"],
  ...["pull_modes.soci_v1", "pull_modes.soci_v2", "trust.v1", "trust.v2"],
  ...["background_fetch.disable", "background_fetch.silence_period_msec"],
  ...["background_fetch.max_queue_size", "background_fetch.drop_policy"],
  ...["cache.keep_removed"],
];

type Tree = { readonly [key: string]: unknown };

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The dotted names of keys whose values differ. */
function changes(before: unknown, after: unknown, name = ""): string[] {
  if (!isTree(before) || !isTree(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [name];
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) =>
    changes(before[key], after[key], name === "" ? key : `${name}.${key}`)
  );
}

function isLive(key: string): boolean {
  return LIVE.some((live) => key === live || key.startsWith(`${live}.`));
}

/** A tree with one value in it changed. */
function withValue(tree: Tree, path: readonly string[], value: unknown): Tree {
  const [first = "", ...rest] = path;
  const below = tree[first];
  return {
    ...tree,
    [first]: rest.length === 0
      ? value
      : withValue(isTree(below) ? below : {}, rest, value),
  };
}

function valueAt(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (at, part) => isTree(at) ? at[part] : undefined,
    tree,
  );
}

/** Paths in a value that this process may not read: a path, or several with `:` or `,` between them. */
function closedPaths(value: unknown): string[] {
  if (isTree(value) || Array.isArray(value)) {
    return Object.values(value).flatMap(closedPaths);
  }
  if (typeof value !== "string" || !value.startsWith("/")) return [];
  return value.split(/[:,]/).filter((path) =>
    path.startsWith("/") &&
    Deno.permissions.querySync({ name: "read", path }).state !== "granted"
  );
}

/** The configuration in force. */
export class LiveConfig {
  #config: Config;
  readonly #path: string | undefined;

  /** @param path of the file, as for `loadConfig`. */
  constructor(config: Config, path: string | undefined) {
    this.#config = config;
    this.#path = path;
  }

  /** What holds now. Parts that are kept do not change. */
  get current(): Config {
    return this.#config;
  }

  /** Reads the file again, takes what can be taken, and says in the log what was and what was not. */
  reload(): void {
    try {
      const { config, findings } = loadConfig(this.#path);
      for (const { kind: _, ...finding } of findings) {
        log.warn("configuration", finding);
      }
      this.#take(config);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log.error(
        "SIGHUP: the configuration cannot be used, what held holds on",
        {
          error: error.message,
        },
      );
    }
  }

  #take(config: Config): void {
    // By table and key: names below `resolver.host` and the like hold dots.
    const changed = Object.keys(config).flatMap((table) =>
      changes(valueAt(this.#config, [table]), valueAt(config, [table]), table)
    );
    // What this process may read was settled when it started.
    const closed = changed.filter((key) =>
      isLive(key) && closedPaths(valueAt(config, key.split("."))).length > 0
    );
    const live = changed.filter((key) => isLive(key) && !closed.includes(key));
    const dead = changed.filter((key) => !live.includes(key));
    let next: Tree = { ...this.#config };
    for (const name of LIVE) {
      const path = name.split(".");
      if (closed.some((key) => key === name || key.startsWith(`${name}.`))) {
        continue;
      }
      next = withValue(next, path, valueAt(config, path));
    }
    this.#config = next as unknown as Config;
    if (dead.length > 0) {
      log.warn("SIGHUP: these changes need a restart (serve --takeover)", {
        keys: dead.map(configKeyName),
      });
    }
    if (closed.length > 0) {
      log.warn(
        "SIGHUP: the configuration names paths that it did not name when the daemon started, and it may read no others: what held holds on until a restart (serve --takeover)",
        {
          keys: closed.map(configKeyName),
          paths: closed.flatMap((key) =>
            closedPaths(valueAt(config, key.split(".")))
          ),
        },
      );
    }
    log.info(
      live.length > 0
        ? "SIGHUP: the configuration was reloaded"
        : "SIGHUP: nothing to reload has changed; logins and hosts.toml are read whenever they are needed",
      { keys: live.map(configKeyName) },
    );
  }
}
