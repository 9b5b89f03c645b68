/** A handler that tells of every request; only where somebody wants to see them. @module */
import type {
  Attributes,
  EmitEntry,
  FuseHandler,
  NodeId,
  ReadReply,
  StatFs,
} from "../../host/fuse/mod.ts";
import { DEFERRED } from "../../host/fuse/mod.ts";

/** Paths that are remembered; with more, all are forgotten, and nodes are named by their number. */
const MAX_PATHS = 100_000;

/** A request of the kernel, as it was answered. */
export interface SeenRequest {
  readonly operation: string;
  /** The layer's; 0 for the mount's own root. */
  readonly slot: number;
  /** Below the layer's root; `#` and the inode's number where the path is not known. */
  readonly path: string;
  /** Of a read, bytes. */
  readonly offset?: number;
  readonly length?: number;
  /** Bytes or zero; below: a negative error number; null: it waits for bytes. */
  readonly result: number | null;
}

/** Passes every call on, and tells of it. Paths are those that the kernel has looked up since this began. */
export class LoggedHandler implements FuseHandler {
  readonly #handler: FuseHandler;
  readonly #tell: (request: SeenRequest) => void;
  readonly #paths = new Map<string, string>();
  readonly #decoder = new TextDecoder();

  constructor(handler: FuseHandler, tell: (request: SeenRequest) => void) {
    this.#handler = handler;
    this.#tell = tell;
  }

  #path({ hi, lo }: NodeId): string {
    return lo <= 1 ? "" : this.#paths.get(`${hi} ${lo}`) ?? `#${lo - 1}`;
  }

  #told(
    operation: string,
    node: NodeId,
    result: number,
    more: Partial<SeenRequest> = {},
  ): number {
    this.#tell({
      operation,
      slot: node.hi,
      path: this.#path(node) || "/",
      ...more,
      result: result === DEFERRED ? null : result,
    });
    return result;
  }

  lookup(
    parent: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    child: NodeId,
  ): number {
    const result = this.#handler.lookup(parent, buffer, start, end, child);
    const name = this.#decoder.decode(buffer.slice(start, end));
    const path = `${this.#path(parent)}/${name}`;
    if (result === 0) {
      if (this.#paths.size >= MAX_PATHS) this.#paths.clear();
      if (child.hi !== 0 && parent.hi !== 0) {
        this.#paths.set(`${child.hi} ${child.lo}`, path);
      }
    }
    return this.#told("LOOKUP", parent, result, { path });
  }

  cacheMissing(parent: NodeId): boolean {
    return this.#handler.cacheMissing(parent);
  }

  attributes(node: NodeId, into: Attributes): number {
    return this.#told("GETATTR", node, this.#handler.attributes(node, into));
  }

  open(node: NodeId): number {
    return this.#told("OPEN", node, this.#handler.open(node));
  }

  readlink(node: NodeId, into: Uint8Array): number {
    return this.#told("READLINK", node, this.#handler.readlink(node, into));
  }

  entries(node: NodeId, first: number, emit: EmitEntry): number {
    return this.#told(
      "READDIR",
      node,
      this.#handler.entries(node, first, emit),
    );
  }

  direntType(node: NodeId): number {
    return this.#handler.direntType(node);
  }

  getxattr(
    node: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    into: Uint8Array,
    limit: number,
  ): number {
    return this.#told(
      "GETXATTR",
      node,
      this.#handler.getxattr(node, buffer, start, end, into, limit),
    );
  }

  listxattr(node: NodeId, into: Uint8Array, limit: number): number {
    return this.#told(
      "LISTXATTR",
      node,
      this.#handler.listxattr(node, into, limit),
    );
  }

  read(
    node: NodeId,
    offset: number,
    size: number,
    reply: ReadReply,
    uniqueLo: number,
    uniqueHi: number,
    thread: number,
  ): number {
    const result = this.#handler.read(
      node,
      offset,
      size,
      reply,
      uniqueLo,
      uniqueHi,
      thread,
    );
    return this.#told("READ", node, result, { offset, length: size });
  }

  answered(): void {
    this.#handler.answered();
  }

  interrupt(uniqueLo: number, uniqueHi: number): void {
    this.#handler.interrupt(uniqueLo, uniqueHi);
  }

  statfs(into: StatFs): void {
    this.#handler.statfs(into);
  }
}
