import type { Network, TlsOptions } from "../network/mod.ts";
import type { CredentialStore } from "./credentials.ts";

/** What a place can do: give content by digest, resolve tags, accept pushes, list what refers to an image. */
export type Capability = "pull" | "resolve" | "push" | "referrers";

/** How requests to one place are sent. */
export interface PlaceOptions {
  /**
   * Replaces the client's own TLS options. Other hosts that the place leads to get only the
   * authorities.
   */
  readonly tls?: TlsOptions;
  /** Headers of every request to the place itself. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The address is complete: `/v2` is not added to it. */
  readonly overridePath?: boolean;
  /** In place of the client's `timeouts.dialMs`. */
  readonly dialMs?: number;
  /** In place of the client's `timeouts.requestMs`; Infinity: none. */
  readonly requestMs?: number;
}

/** Another place that serves the blobs and manifests of a registry. */
export interface Mirror extends PlaceOptions {
  /** `https://mirror.example`, or with a path, which goes before `/v2/`. */
  readonly url: string;
  /** Default: pull, resolve and referrers. A mirror with `push` gets pushes in place of the registry. */
  readonly capabilities?: readonly Capability[];
}

/** What is configured for one registry host. */
export interface HostOptions {
  /** Asked in this order, before the host itself. */
  readonly mirrors: readonly Mirror[];
  /** The host itself; `url` is given if it answers at another address. */
  readonly server?: PlaceOptions & { readonly url?: string };
}

/** How often, and after which waits, a request is retried. */
export interface RetryOptions {
  /** Tries after the first one. Default 8. */
  readonly retries?: number;
  /** The first wait, in milliseconds; it doubles each time. Default 30. */
  readonly minWaitMs?: number;
  /** No wait is longer, not even one the registry asks for. Default 30 000. */
  readonly maxWaitMs?: number;
}

/** Timeouts for a silent registry, in milliseconds. */
export interface TimeoutOptions {
  /**
   * Until a host takes a connection. Default, or Infinity: connecting counts in `headersMs` alone.
   */
  readonly dialMs?: number;
  /** From sending a request to its answer's headers. Default 15 000. */
  readonly headersMs?: number;
  /**
   * A whole request with its body, but for streams of whole blobs, which end when nothing more comes. Default:
   * none.
   */
  readonly requestMs?: number;
  /** One range of a blob with all its tries. Default: none. */
  readonly rangeMs?: number;
  /** Between two pieces of a body, either way. Default 20 000. */
  readonly idleMs?: number;
}

/** How long logins are used. */
export interface LoginOptions {
  /** After so long a registry is logged in at anew with what the store has by then, ms. Default: Infinity. */
  readonly ttlMs?: number;
  /**
   * true: all repositories of a host use what the store said for one of them, until `ttlMs` is over or it is
   * refused. Default: the store is asked at every login.
   */
  readonly shared?: boolean;
}

/** How a {@link RegistryClient} behaves. */
export interface RegistryClientOptions {
  /** Credentials to log in with. Default: none. */
  readonly credentials?: CredentialStore;
  /**
   * Whether to use plain HTTP. Default, also if the function returns undefined: plain HTTP for
   * loopback hosts, HTTPS for all others, as in Docker.
   */
  readonly plainHttp?: boolean | ((host: string) => boolean | undefined);
  /** PEM certificates to trust in addition to the system's. */
  readonly caCerts?: readonly string[];
  /** Our client certificate, PEM, for registries that ask for one. */
  readonly clientCert?: { readonly cert: string; readonly key: string };
  /**
   * Accept any TLS certificate. For tests only: anyone on the way can read and change everything.
   */
  readonly skipVerify?: boolean;
  /** What is configured for a host, as {@link hostsDir} reads it. */
  readonly hosts?: (host: string) => HostOptions | undefined;
  /** Mirrors of a host, for reading only. They are asked in this order, before the host itself. */
  readonly mirrors?: (host: string) => readonly Mirror[];
  /** The `User-Agent` of every request. Default: `soci-deno`. */
  readonly userAgent?: string;
  /** Whether each request is logged, at level debug. Default: yes. */
  readonly logged?: boolean;
  /** How often, and after which waits, a request is retried. */
  readonly retry?: RetryOptions;
  /** The same of requests for ranges of blobs. Default: as `retry`. */
  readonly rangeRetry?: RetryOptions;
  /** How long logins are used. */
  readonly logins?: LoginOptions;
  /** Timeouts for a silent registry. */
  readonly timeouts?: TimeoutOptions;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** What requests go through, in place of `fetch`. Default: this isolate's network. */
  readonly network?: Network;
}
