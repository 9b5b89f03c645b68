/**
 * Messages between a client and the fetch Worker. A request is `send`, and pieces of its body as they are wanted;
 * its answer is `head`, and the body's bytes in a ring, or `failed`.
 * @module
 */
import type { RingMemory } from "../../host/threads/mod.ts";
import type { NamedHosts } from "./fetch_hosts.ts";
import type { TlsOptions } from "./tls.ts";

/** To the Worker, by whoever starts it, before anybody can ask it for anything. */
export interface Begin {
  readonly kind: "begin";
  /** What it may ask without being led there. */
  readonly hosts: NamedHosts;
  /** What it may ask at all; empty: any host. */
  readonly only: readonly string[];
  /** Variables of the environment that name proxies: it has no environment itself. */
  readonly proxies: Readonly<Record<string, string>>;
}

/** To the Worker, by whoever uses it. */
export type ToFetcher =
  | {
    readonly kind: "send";
    readonly id: number;
    readonly url: string;
    readonly method: string;
    readonly headers: readonly (readonly [string, string])[];
    /** `comes`: by `body`, piece by piece. */
    readonly body: Uint8Array<ArrayBuffer> | "none" | "comes";
    readonly tls: TlsOptions;
    /** For the answer's body. */
    readonly ring: RingMemory;
  }
  /** A piece of the request's body; null: it is over. */
  | {
    readonly kind: "body";
    readonly id: number;
    readonly bytes: Uint8Array<ArrayBuffer> | null;
  }
  /** Nobody wants the answer, or the rest of it. */
  | { readonly kind: "abort"; readonly id: number }
  | { readonly kind: "lookup"; readonly id: number; readonly name: string }
  /** Does the host take a connection? */
  | { readonly kind: "connect"; readonly id: number; readonly url: string };

/** From the Worker. */
export type FromFetcher =
  | {
    readonly kind: "head";
    readonly id: number;
    readonly status: number;
    readonly headers: readonly (readonly [string, string])[];
    readonly hasBody: boolean;
  }
  /** The next piece of the request's body is wanted. */
  | { readonly kind: "wants"; readonly id: number }
  /** Before the head, or in place of the rest of a body whose ring is broken. `network`: the connection was lost or never made. `refused`: the Worker does not send this. */
  | {
    readonly kind: "failed";
    readonly id: number;
    readonly why: "network" | "refused";
    readonly message: string;
  }
  | {
    readonly kind: "found";
    readonly id: number;
    /** Of a name; none of a host that took a connection. Null if it cannot be looked up or took none. */
    readonly addresses: readonly string[] | null;
  };
