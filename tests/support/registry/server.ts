import {
  type Descriptor,
  type Digest,
  isDigest,
  MEDIA,
} from "../../../lib/formats/oci/mod.ts";
import { AuthGate, type RegistryAuth } from "./auth.ts";
import { serveBlob } from "./blobs.ts";
import { Faults, type Subject } from "./faults.ts";
import { failure, type LogEntry } from "./http.ts";
import { serveManifest, serveReferrers, serveTags } from "./manifests.ts";
import type { RangeStyle } from "./ranges.ts";
import { Signer } from "./storage.ts";
import { Store } from "./store.ts";
import { continueUpload, startUpload } from "./uploads.ts";

/** How a {@link TestRegistry} starts. */
export interface RegistryOptions {
  /** Default: any free port. */
  port?: number;
  /** Folder for everything. Default: one that is removed at the end. */
  folder?: string;
  /** HTTPS with this certificate and key (PEM). */
  tls?: { cert: string; key: string };
  /** Default: none. */
  auth?: RegistryAuth;
  /** Whether there is a referrers API. Default: true. */
  referrersApi?: boolean;
  /** Entries per page of referrers. Default: 1000. */
  referrersPageSize?: number;
  /** Redirects blobs to signed addresses on another port. */
  redirect?: { lifeMs: number };
}

const ROUTE =
  /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs|referrers|tags)\/([^/]*)$/;

/** Replaces the registry's answer if it returns one. */
export type Intercept = (
  path: string,
  request: Request,
) => Response | null | Promise<Response | null>;

/** A running registry. */
export class TestRegistry implements AsyncDisposable {
  readonly faults = new Faults();
  /** Every request, in order. */
  readonly requests: LogEntry[] = [];
  readonly store: Store;
  readonly gate: AuthGate;
  readonly signer = new Signer();
  /** May be changed at any time, like the fields below. */
  redirect: { lifeMs: number } | null;
  /** Answers in place of the registry if it returns something; null: none. */
  intercept: Intercept | null = null;
  /** How range requests are answered, here and at the storage. */
  ranges: RangeStyle = { kind: "served" };
  referrersApi: boolean;
  readonly #pageSize: number;
  readonly #tls: boolean;
  readonly #servers: Deno.HttpServer<Deno.NetAddr>[];
  readonly #abort = new AbortController();
  #closed = false;

  constructor(options: RegistryOptions = {}) {
    this.store = new Store(
      options.folder ?? Deno.makeTempDirSync({ prefix: "registry-" }),
      options.folder === undefined,
    );
    this.redirect = options.redirect ?? null;
    this.referrersApi = options.referrersApi ?? true;
    this.#pageSize = options.referrersPageSize ?? 1000;
    this.#tls = options.tls !== undefined;
    this.gate = new AuthGate(options.auth ?? { kind: "none" }, () => this.url);
    const listen = (port: number, server: LogEntry["server"]) =>
      Deno.serve({
        port,
        hostname: "127.0.0.1",
        signal: this.#abort.signal,
        onListen() {},
        ...options.tls,
      }, (request) => this.#logged(request, server));
    this.#servers = [
      listen(options.port ?? 0, "registry"),
      listen(0, "storage"),
    ];
  }

  /** `127.0.0.1:<port>`, as in references. */
  get host(): string {
    return `127.0.0.1:${this.#servers[0]!.addr.port}`;
  }

  /** `http://127.0.0.1:<port>`. */
  get url(): string {
    return `${this.#tls ? "https" : "http"}://${this.host}`;
  }

  /** Body bytes of blobs sent so far, by registry and storage. */
  bytesServed(): number {
    return this.requests.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Clears the log and the faults; content stays. */
  reset(): void {
    this.requests.length = 0;
    this.faults.clear();
  }

  /** Adds a blob without a request. */
  addBlob(
    repository: string,
    bytes: Uint8Array,
    mediaType: string = MEDIA.octetStream,
  ): Descriptor {
    const digest = this.store.addBlob(repository, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  /** Adds a manifest without a request. */
  addManifest(
    repository: string,
    manifest: Uint8Array | Record<string, unknown>,
    { mediaType = MEDIA.ociManifest, tag }: {
      mediaType?: string;
      tag?: string;
    } = {},
  ): Descriptor {
    const bytes = manifest instanceof Uint8Array
      ? manifest
      : new TextEncoder().encode(JSON.stringify(manifest));
    const { digest } = this.store.addManifest(
      repository,
      bytes,
      mediaType,
      tag,
    );
    return { mediaType, digest, size: bytes.length };
  }

  /** Stops at once and cuts all connections, as if the registry crashed. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    await Promise.all(this.#servers.map(({ finished }) => finished));
    this.store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #logged(
    request: Request,
    server: LogEntry["server"],
  ): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const entry: LogEntry = {
      method: request.method,
      path: pathname,
      query: search,
      range: request.headers.get("range"),
      authorized: request.headers.has("authorization"),
      server,
      status: 0,
      bytes: 0,
    };
    this.requests.push(entry);
    const response = server === "storage"
      ? await this.#storage(request, entry)
      : await this.#registry(request, pathname, entry);
    entry.status = response.status;
    return response;
  }

  async #storage(request: Request, entry: LogEntry): Promise<Response> {
    const digest = this.signer.check(request);
    if (typeof digest === "number") {
      return new Response("<Error/>", { status: digest });
    }
    const fault = this.faults.take("blobs");
    return await this.#faulty(fault) ??
      await this.#blobBytes(digest, request, entry, fault);
  }

  #blobBytes(
    digest: Digest,
    request: Request,
    entry: LogEntry,
    fault: ReturnType<Faults["take"]>,
  ): Promise<Response> {
    const { store, ranges } = this;
    return serveBlob(store, digest, request, { entry, fault, ranges });
  }

  async #registry(
    request: Request,
    path: string,
    entry: LogEntry,
  ): Promise<Response> {
    const other = await this.intercept?.(path, request) ?? null;
    if (other !== null) return other;
    if (path === "/token") return await this.gate.token(request);
    if (path === "/v2/" || path === "/v2") {
      return this.gate.check(request, "", "pull") ?? Response.json({});
    }
    const [, repository = "", kind = "", object = ""] = ROUTE.exec(path) ?? [];
    if (repository === "") return failure(404, "NAME_UNKNOWN");
    const reads = request.method === "GET" || request.method === "HEAD";
    const refused = this.gate.check(
      request,
      repository,
      reads ? "pull" : "push",
    );
    if (refused !== null) return refused;
    const subject = subjectOf(request, kind);
    // The fault of a redirected blob acts at the storage.
    const atStorage = subject === "blobs" && this.redirect !== null;
    const fault = subject === null || atStorage
      ? null
      : this.faults.take(subject);
    const faulty = await this.#faulty(fault);
    if (faulty !== null) return faulty;
    switch (kind) {
      case "manifests":
        return await serveManifest(this.store, repository, object, request, {
          referrersApi: this.referrersApi,
        });
      case "blobs":
        return await this.#blob(request, repository, object, entry, fault);
      case "blobs/uploads":
        return object === ""
          ? await startUpload(this.store, repository, request)
          : await continueUpload(this.store, repository, object, request);
      case "referrers":
        if (!this.referrersApi || !isDigest(object)) {
          return failure(404, "UNSUPPORTED");
        }
        return serveReferrers(this.store, repository, object, request, {
          pageSize: this.#pageSize,
        });
      default:
        return serveTags(this.store, repository, request);
    }
  }

  async #blob(
    request: Request,
    repository: string,
    object: string,
    entry: LogEntry,
    fault: ReturnType<Faults["take"]>,
  ): Promise<Response> {
    const blobs = this.store.repositories.get(repository)?.blobs;
    if (!isDigest(object) || !blobs?.has(object)) {
      return failure(404, "BLOB_UNKNOWN");
    }
    if (request.method === "DELETE") {
      blobs.delete(object);
      return new Response(null, { status: 202 });
    }
    if (request.method === "GET" && this.redirect !== null) {
      const path = this.signer.sign(object, this.redirect.lifeMs);
      const { port } = this.#servers[1]!.addr;
      const location = `${
        this.#tls ? "https" : "http"
      }://127.0.0.1:${port}${path}`;
      return new Response(null, { status: 307, headers: { location } });
    }
    return await this.#blobBytes(object, request, entry, fault);
  }

  async #faulty(fault: ReturnType<Faults["take"]>): Promise<Response | null> {
    if (fault?.kind === "silence") {
      await new Promise((resolve) =>
        this.#abort.signal.addEventListener("abort", resolve, { once: true })
      );
      return failure(503, "CLOSED");
    }
    if (fault?.kind !== "status") return null;
    const { status, retryAfter } = fault;
    if (status === 401) return this.gate.refuse();
    return failure(status, "FAULT", {
      ...(retryAfter !== undefined && { "retry-after": retryAfter }),
    });
  }
}

function subjectOf({ method }: Request, kind: string): Subject | null {
  if (kind === "manifests") return "manifests";
  if (kind === "blobs/uploads") return "uploads";
  return kind === "blobs" && method === "GET" ? "blobs" : null;
}

/** Starts a registry. It is ready when this returns. */
export function startRegistry(options: RegistryOptions = {}): TestRegistry {
  return new TestRegistry(options);
}
