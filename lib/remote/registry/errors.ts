/** The kinds of {@link RegistryError} that callers handle differently. */
export type RegistryErrorKind =
  /** No credentials, or refused ones. */
  | "unauthorized"
  /** The credentials are valid, but not for this repository. */
  | "forbidden"
  /** The registry does not have it. */
  | "not-found"
  /** The registry gives no ranges: the blob can only be fetched whole. */
  | "range"
  /** The registry does not accept an artifact beside an image, or not its tag. */
  | "no-artifacts"
  /** The registry deletes nothing. */
  | "no-deletes"
  /** A document in an unsupported format, which the message names. */
  | "unsupported"
  /** No answer, too many requests, or a server error, after all retries. */
  | "unavailable"
  /** The bytes are not what their digest or size says. */
  | "integrity"
  /** More bytes than the caller accepts. */
  | "too-large"
  /** An answer that the distribution specification does not allow. */
  | "protocol";

const ADVICE: Readonly<Record<RegistryErrorKind, string>> = {
  "unauthorized": "log in to this registry (docker login) and try again",
  "forbidden": "ask for access to this repository, or log in as someone else",
  "not-found": "check the name, the tag and that it was pushed",
  "range": "this registry gives no parts of blobs; the layer is taken whole",
  "no-artifacts":
    "push a converted image instead, which needs neither (build-index --to TAG)",
  "no-deletes":
    "allow deletes in the registry's configuration, or delete it there",
  "unsupported": "push the image again as OCI (skopeo copy --format oci)",
  "unavailable": "check the network and the registry, then try again",
  "integrity":
    "do not use this content; check the registry, mirror or proxy between",
  "too-large": "the content is not what it should be, or the limit is too low",
  "protocol": "check that this address is an OCI registry",
};

/** The facts of a {@link RegistryError}. */
export interface RegistryErrorFacts {
  /** What a caller would do differently about. */
  readonly kind: RegistryErrorKind;
  /** The host asked, with its port. */
  readonly host: string;
  /** The repository of the request; empty if there is no single one. */
  readonly repository: string;
  /** What happened, without secrets. */
  readonly detail: string;
  /** The HTTP status, if there was an answer. */
  readonly status?: number;
  /** The underlying error; not part of the message. */
  readonly cause?: unknown;
}

/** A registry request failed. The message is one line. */
export class RegistryError extends Error {
  static {
    this.prototype.name = "RegistryError";
  }
  /** What a caller would do differently about. */
  readonly kind: RegistryErrorKind;
  /** The host asked, with its port. */
  readonly host: string;
  /** The repository of the request; empty if there is no single one. */
  readonly repository: string;
  /** What happened, on one line and without secrets. */
  readonly detail: string;
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined;

  /** The message says where, what, and what to do next. */
  constructor(facts: RegistryErrorFacts) {
    const { kind, host, repository, status, cause } = facts;
    const detail = oneLine(facts.detail);
    const place = repository === "" ? host : `${host}/${repository}`;
    const said = status === undefined ? "" : ` (HTTP ${status})`;
    super(
      `${place}: ${detail}${said}; ${ADVICE[kind]}`,
      cause === undefined ? undefined : { cause },
    );
    this.kind = kind;
    this.host = host;
    this.repository = repository;
    this.detail = detail;
    this.status = status;
  }
}

/** Makes text from outside fit one line of a log. */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what it removes
  return text.replace(/[\x00-\x1f\x7f]+/g, " ").slice(0, 500);
}
