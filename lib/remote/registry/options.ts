import type { CredentialStore } from "./credentials.ts";
import type { TlsOptions } from "./tls.ts";

/** What a place may be asked for: content by digest, tags, and to take content. */
export type Capability = "pull" | "resolve" | "push";

/** How requests to one place are sent. */
export interface PlaceOptions {
  /** In place of the client's own; of these, other hosts that it leads to see the authorities only. */
  readonly tls?: TlsOptions;
  /** Sent with every request to the place itself. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The address is whole: `/v2` is not added to it. */
  readonly overridePath?: boolean;
}

/** Another place that serves the blobs and manifests of a registry. */
export interface Mirror extends PlaceOptions {
  /** `https://mirror.example` or with a path, which goes before `/v2/`. */
  readonly url: string;
  /** Default: pull and resolve. A place that takes pushes gets them in the registry's stead. */
  readonly capabilities?: readonly Capability[];
}

/** What is configured for one registry host. */
export interface HostOptions {
  /** Asked in this order, before the host itself. */
  readonly mirrors: readonly Mirror[];
  /** The host itself; with an address of its own where it answers elsewhere. */
  readonly server?: PlaceOptions & { readonly url?: string };
}

/** How often and how patiently a request is tried again. */
export interface RetryOptions {
  /** Tries after the first one. Default 8. */
  readonly retries?: number;
  /** The first wait, in milliseconds; it doubles each time. Default 30. */
  readonly minWaitMs?: number;
  /** No wait is longer, not even one the registry asks for. Default 30 000. */
  readonly maxWaitMs?: number;
}

/** How long a silent registry is waited for, in milliseconds. */
export interface TimeoutOptions {
  /** From sending a request to its answer's headers. Default 15 000. */
  readonly headersMs?: number;
  /** Between two pieces of a body, either way. Default 20 000. */
  readonly idleMs?: number;
}

/** How a {@link RegistryClient} behaves. */
export interface RegistryClientOptions {
  /** Who asks. Default: nobody. */
  readonly credentials?: CredentialStore;
  /**
   * Plain HTTP or HTTPS. Default, and where the function gives undefined: plain HTTP for loopback
   * hosts, HTTPS for all others, as Docker does.
   */
  readonly plainHttp?: boolean | ((host: string) => boolean | undefined);
  /** PEM certificates to trust beside the system's. */
  readonly caCerts?: readonly string[];
  /** Our own certificate, PEM, for registries that ask for one. */
  readonly clientCert?: { readonly cert: string; readonly key: string };
  /** Take any TLS certificate. For tests: whoever is on the way can read and change all. */
  readonly skipVerify?: boolean;
  /** What is configured for a host, as {@link hostsDir} reads it. */
  readonly hosts?: (host: string) => HostOptions | undefined;
  /** Mirrors of a host, asked in this order before the host itself; for reading only. */
  readonly mirrors?: (host: string) => readonly Mirror[];
  /** `User-Agent` of every request. Default: `soci-deno`. */
  readonly userAgent?: string;
  /** Whether each request is logged, on level debug. Default: yes. */
  readonly logged?: boolean;
  /** How often and how patiently a request is tried again. */
  readonly retry?: RetryOptions;
  /** How long a silent registry is waited for. */
  readonly timeouts?: TimeoutOptions;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
}
