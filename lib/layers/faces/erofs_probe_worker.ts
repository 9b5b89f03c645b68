/**
 * The server behind the EROFS self-test: one file whose second half cannot be read.
 * @module
 */
/// <reference lib="deno.worker" />
import {
  type Attributes,
  type EmitEntry,
  FOPEN,
  type FuseHandler,
  FuseLoop,
  NodeId,
  type ReadReply,
  type StatFs,
} from "../../host/fuse/mod.ts";
import { ERRNO } from "../../host/os/mod.ts";
import { answerThread } from "../../host/threads/mod.ts";
import { fillProbePattern, PROBE_BLOB } from "./erofs_probe_layout.ts";
import { S } from "../tree/mod.ts";

const ROOT = 1;
const BLOB = 2;

class ProbeHandler implements FuseHandler {
  lookup(
    parent: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    child: NodeId,
  ): number {
    const name = new TextDecoder().decode(buffer.subarray(start, end));
    if (parent.lo !== ROOT || name !== PROBE_BLOB.name) return -ERRNO.ENOENT;
    child.hi = 0;
    child.lo = BLOB;
    return 0;
  }

  cacheMissing(): boolean {
    return false;
  }

  attributes(node: NodeId, into: Attributes): number {
    const blob = node.lo === BLOB;
    into.size = blob ? PROBE_BLOB.sizeBytes : 0;
    into.mode = blob ? S.IFREG | 0o400 : S.IFDIR | 0o700;
    into.nlink = blob ? 1 : 2;
    return 0;
  }

  /** The same flags as for the blobs of layers. */
  open(): number {
    return FOPEN.DIRECT_IO;
  }

  read(
    node: NodeId,
    offset: number,
    size: number,
    reply: ReadReply,
  ): number {
    if (node.lo !== BLOB) return -ERRNO.EISDIR;
    const length = Math.min(size, PROBE_BLOB.sizeBytes - offset);
    if (length <= 0) return 0;
    if (offset + length > PROBE_BLOB.goodBytes) return -ERRNO.EIO;
    fillProbePattern(reply.payload.subarray(0, length), offset);
    return length;
  }

  entries(_node: NodeId, _first: number, _emit: EmitEntry): number {
    return 0;
  }
  readlink(): number {
    return -ERRNO.EINVAL;
  }
  direntType(): number {
    return 0;
  }
  getxattr(): number {
    return -ERRNO.ENODATA;
  }
  listxattr(): number {
    return 0;
  }
  interrupt(): void {}
  answered(): void {}
  statfs(into: StatFs): void {
    into.files = 1;
  }
}

const send = answerThread<number, "serving" | "over">((fd) => {
  send("serving");
  new FuseLoop(fd, new ProbeHandler(), { xattrs: false }).run();
  send("over");
  self.close();
});
