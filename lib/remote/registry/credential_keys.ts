/** The key of Docker Hub's credentials in the file. */
const HUB_KEY = "https://index.docker.io/v1/";
const HUB_HOSTS = new Set([
  "docker.io",
  "index.docker.io",
  "registry-1.docker.io",
]);

/** The parts of Docker's config.json that name registries. */
export interface CredentialKeys {
  readonly auths: Readonly<Record<string, unknown>>;
  readonly credHelpers: Readonly<Record<string, unknown>>;
}

/** The names a host may have in the file, likeliest first. */
function hostNames(named: string): string[] {
  const host = named.toLowerCase();
  const hub = HUB_HOSTS.has(host) ? [HUB_KEY, ...HUB_HOSTS] : [];
  return [...new Set([...hub, host])];
}

/** A part of a registry that the file has entries for. */
export interface CredentialScope {
  /** Keys of `auths`, the preferred first. */
  readonly authKeys: readonly string[];
  /** Keys of `credHelpers`. */
  readonly helperKeys: readonly string[];
  /** What a helper is asked for. */
  readonly asked: string;
  /** Whether it is less than a whole host. */
  readonly isPath: boolean;
}

/**
 * The parts of a registry that cover a repository: longest path first, the whole host last. Podman
 * and Kubernetes read the file like this, and people who write it by hand expect it.
 */
export function scopesOf(
  { auths, credHelpers }: CredentialKeys,
  host: string,
  repository: string,
): CredentialScope[] {
  const names = hostNames(host);
  const parts = repository.split("/");
  const helpers = keysByPath(Object.keys(credHelpers), names, parts);
  const inline = keysByPath(Object.keys(auths), names, parts);
  const depths = new Set([...helpers.keys(), ...inline.keys(), 0]);
  return [...depths].sort((a, b) => b - a).map((depth) => ({
    authKeys: inline.get(depth) ?? [],
    helperKeys: helpers.get(depth) ?? [],
    asked: depth === 0 ? names[0]! : [host, ...parts.slice(0, depth)].join("/"),
    isPath: depth > 0,
  }));
}

/** The keys that cover a repository, by how many path components they name. */
function keysByPath(
  keys: readonly string[],
  names: readonly string[],
  parts: readonly string[],
): Map<number, string[]> {
  const ranked = keys.flatMap((key) => {
    const { host, path } = readKey(key);
    const rank = names.includes(key)
      ? names.indexOf(key)
      : names.includes(host)
      ? names.length
      : names.some((name) => matchesPattern(host, name))
      ? names.length + 1
      : null;
    if (rank === null) return [];
    // The path in Docker's old key (`/v1/`) is not a repository path.
    const covered = names.includes(key) ? [] : path;
    return covered.every((part, at) => part === parts[at])
      ? [{ key, rank, depth: covered.length }]
      : [];
  }).sort((a, b) => a.rank - b.rank);
  const found = new Map<number, string[]>();
  for (const { key, depth } of ranked) {
    found.getOrInsertComputed(depth, () => []).push(key);
  }
  return found;
}

/** `https://host/v1/`, `host/` and `host` are the same entry to Docker. */
function readKey(key: string): { host: string; path: readonly string[] } {
  const [host = "", ...path] = key.replace(/^https?:\/\//i, "").split("/")
    .filter((part) => part !== "");
  if (/^v[12]$/.test(path[0] ?? "")) path.shift();
  return { host: host.toLowerCase(), path };
}

/** Matches Kubernetes' patterns. All their signs match within one DNS label. */
function matchesPattern(pattern: string, host: string): boolean {
  if (!/[*?[]/.test(pattern) || pattern.length > 300) return false;
  const labels = pattern.split(".");
  const names = host.split(".");
  return labels.length === names.length &&
    labels.every((label, at) => labelPattern(label)?.test(names[at]!) ?? false);
}

/** A sign of a pattern (Go's path.Match): any characters, any one, one of a class, or itself. */
const SIGN = /\*+|\?|\[(\^?)((?:[\w-])+)\]|([\w:-])/gy;

/** null: it is malformed. */
function labelPattern(label: string): RegExp | null {
  let source = "";
  let read = 0;
  for (const [sign, not = "", members, plain] of label.matchAll(SIGN)) {
    read += sign.length;
    if (plain !== undefined) source += plain;
    else if (members !== undefined) source += `[${not}${members}]`;
    else source += sign === "?" ? "[^.]" : "[^.]*";
  }
  if (read < label.length) return null;
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return null; // a range that runs backwards
  }
}
