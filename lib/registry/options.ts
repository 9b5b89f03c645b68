import type { CredentialStore } from "./credentials.ts";

/** Another place that serves the blobs and manifests of a registry. */
export interface Mirror {
  /** `https://mirror.example` or with a path, which goes before `/v2/`. */
  readonly url: string;
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
  /** Mirrors of a host, asked in this order before the host itself; for reading only. */
  readonly mirrors?: (host: string) => readonly Mirror[];
  readonly userAgent?: string;
  readonly retry?: RetryOptions;
  readonly timeouts?: TimeoutOptions;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof fetch;
}
