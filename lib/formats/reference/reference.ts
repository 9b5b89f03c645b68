import { type Digest, isDigest } from "../oci/mod.ts";

/** Text that is not an image reference. */
export class InvalidReferenceError extends Error {
  static {
    this.prototype.name = "InvalidReferenceError";
  }
}

/**
 * Names an image in a registry, with Docker's defaults filled in. The grammar is that of
 * `distribution/reference`: host[:port]/path[:tag][@digest].
 */
export class Reference {
  /**
   * Does not check its arguments: use `parseReference` for text from outside.
   * @param host as written (`docker.io`, `localhost:5000`), not the host that requests go to.
   */
  constructor(
    readonly host: string,
    /** Path below the host, such as `library/redis`. */
    readonly repository: string,
    readonly tag: string | null,
    readonly digest: Digest | null,
  ) {}

  /** The canonical text. */
  toString(): string {
    const tag = this.tag === null ? "" : `:${this.tag}`;
    const digest = this.digest === null ? "" : `@${this.digest}`;
    return `${this.host}/${this.repository}${tag}${digest}`;
  }

  /** What a manifest request names: the digest if there is one, else the tag. */
  get object(): string {
    return this.digest ?? this.tag ?? "latest";
  }

  /** A reference to another tag of the repository. */
  withTag(tag: string): Reference {
    if (!TAG.test(tag)) throw new InvalidReferenceError(`"${tag}" is no tag`);
    return new Reference(this.host, this.repository, tag, null);
  }

  /** A reference to one exact manifest of the repository. */
  withDigest(digest: Digest): Reference {
    return new Reference(this.host, this.repository, null, digest);
  }
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[\w][\w.-]{0,127}$/;
const LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const HOST = new RegExp(
  `^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`,
);
/** The longest repository path, including its host, that registries accept. */
const MAX_NAME_LENGTH = 255;

function isHost(part: string): boolean {
  return part.includes(".") || part.includes(":") || part === "localhost" ||
    part.toLowerCase() !== part;
}

/**
 * Parses a registry's name as it is in image references: `ghcr.io`, `localhost:5000`.
 * @returns null if it is not one.
 */
export function parseHost(text: string): string | null {
  if (!HOST.test(text) || !isHost(text)) return null;
  return text === "index.docker.io" ? "docker.io" : text;
}

/** Where a registry answers: Docker Hub at another host than its name in references. @param host of a reference */
export function registryAddress(host: string): string {
  return host === "docker.io" ? "registry-1.docker.io" : host;
}

/**
 * Parses what a person types: `redis`, `ghcr.io/a/b:1`, `localhost:5000/x@sha256:…`.
 * @throws InvalidReferenceError
 */
export function parseReference(text: string): Reference {
  const fail = (why: string): never => {
    throw new InvalidReferenceError(
      `"${text.slice(0, 300)}" is no image reference: ${why}`,
    );
  };
  const at = text.indexOf("@");
  const digest = at < 0 ? null : text.slice(at + 1);
  if (digest !== null && !isDigest(digest)) {
    fail("the digest is not sha256 and 64 hex digits");
  }
  const named = at < 0 ? text : text.slice(0, at);
  const slash = named.indexOf("/");
  const first = slash < 0 ? "" : named.slice(0, slash);
  const withHost = isHost(first) && slash > 0;
  let host = withHost ? first : "docker.io";
  let path = withHost ? named.slice(slash + 1) : named;
  if (host === "index.docker.io") host = "docker.io";
  if (!HOST.test(host)) fail("the host is malformed");
  const colon = path.lastIndexOf(":");
  let tag: string | null = null;
  if (colon >= 0) {
    tag = path.slice(colon + 1);
    path = path.slice(0, colon);
    if (!TAG.test(tag)) fail("the tag is malformed");
  }
  if (host === "docker.io" && !path.includes("/")) path = `library/${path}`;
  if (!path.split("/").every((component) => COMPONENT.test(component))) {
    fail("the repository must be lower-case words joined by `/`");
  }
  if (host.length + 1 + path.length > MAX_NAME_LENGTH) {
    fail(`over ${MAX_NAME_LENGTH} characters`);
  }
  if (tag === null && digest === null) tag = "latest";
  return new Reference(host, path, tag, digest as Digest | null);
}
