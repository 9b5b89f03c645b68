/**
 * The least a FUSE server in this runtime can do: a blocking loop over an imaginary tree whose nodes
 * are arithmetic, and one big file read from a descriptor. No tree, no layers, no spans, no errors
 * worth the name. What `lib/fuse` and `lib/layerfs` cost is the difference to this.
 * @module
 */
/// <reference lib="deno.worker" />
import {
  type BaselineStart,
  BIG_NODE,
  DIRECTORIES,
  FILES_PER_DIRECTORY,
} from "./tree.ts";

const libc = Deno.dlopen("/lib/x86_64-linux-gnu/libc.so.6", {
  read: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
}).symbols;

const ENOSYS = 38;
const EOPNOTSUPP = 95;
const DAY_SECONDS = 86_400;
const HEADER = 16;
const FIRST_FILE = 1000;
const TWO_32 = 2 ** 32;
const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = ({ data }: MessageEvent<BaselineStart>) => {
  const { fd, bigFd, bigBytes } = data;
  const request = new Uint8Array((1 << 20) + 8192);
  const asked = new DataView(request.buffer);
  const answer = new Uint8Array((1 << 20) + 4096);
  const out = new DataView(answer.buffer);
  const payload = answer.subarray(HEADER);
  const decoder = new TextDecoder("latin1");
  const encoder = new TextEncoder();
  const listings = new Map<number, [name: Uint8Array, node: number][]>();

  const zero = (from: number, bytes: number) =>
    answer.fill(0, from, from + bytes);
  const set64 = (at: number, value: number) => {
    out.setUint32(at, value >>> 0, true);
    out.setUint32(at + 4, Math.floor(value / TWO_32), true);
  };
  const send = (bytes: number, errno: number) => {
    out.setUint32(0, HEADER + bytes, true);
    out.setInt32(4, -errno, true);
    out.setUint32(8, asked.getUint32(8, true), true);
    out.setUint32(12, asked.getUint32(12, true), true);
    libc.write(fd, answer, BigInt(HEADER + bytes));
  };
  const attributes = (at: number, node: number) => {
    const directory = node < FIRST_FILE;
    const size = node === BIG_NODE ? bigBytes : directory ? 4096 : 100;
    set64(at, node);
    set64(at + 8, size);
    set64(at + 16, Math.ceil(size / 512));
    for (let i = 24; i < 60; i += 4) out.setUint32(at + i, 0, true);
    out.setUint32(at + 60, directory ? 0o40755 : 0o100644, true);
    out.setUint32(at + 64, 1, true); // nlink
    out.setUint32(at + 68, 0, true);
    out.setUint32(at + 72, 0, true);
    out.setUint32(at + 76, 0, true);
    out.setUint32(at + 80, 4096, true); // blksize
    out.setUint32(at + 84, 0, true);
  };
  const entry = (at: number, node: number) => {
    set64(at, node);
    set64(at + 8, 0);
    set64(at + 16, DAY_SECONDS);
    set64(at + 24, DAY_SECONDS);
    set64(at + 32, 0);
    attributes(at + 40, node);
  };
  const children = (node: number) => {
    let known = listings.get(node);
    if (known === undefined) {
      const count = node === 1 ? DIRECTORIES : FILES_PER_DIRECTORY;
      const base = node === 1
        ? 2
        : FIRST_FILE + (node - 2) * FILES_PER_DIRECTORY;
      const letter = node === 1 ? "d" : "f";
      known = Array.from(
        { length: count },
        (_, i) => [encoder.encode(`${letter}${i}`), base + i],
      );
      if (node === 1) known.push([encoder.encode("big"), BIG_NODE]);
      listings.set(node, known);
    }
    return known;
  };
  const lookup = (parent: number, name: string): number => {
    if (parent === 1 && name === "big") return BIG_NODE;
    const number = Number(name.slice(1));
    if (parent === 1) {
      return name[0] === "d" && number < DIRECTORIES ? 2 + number : 0;
    }
    return name[0] === "f" && number < FILES_PER_DIRECTORY
      ? FIRST_FILE + (parent - 2) * FILES_PER_DIRECTORY + number
      : 0;
  };
  const list = (node: number, plus: boolean) => {
    const first = asked.getUint32(48, true);
    const limit = asked.getUint32(56, true);
    const items = children(node);
    let at = HEADER;
    for (let i = first; i < items.length; i++) {
      const [name, child] = items[i]!;
      const bytes = ((plus ? 128 : 0) + 24 + name.length + 7) & ~7;
      if (at - HEADER + bytes > limit) break;
      let position = at;
      if (plus) {
        entry(position, child);
        position += 128;
      }
      set64(position, child);
      set64(position + 8, i + 1);
      out.setUint32(position + 16, name.length, true);
      out.setUint32(position + 20, child < FIRST_FILE ? 4 : 8, true);
      answer.set(name, position + 24);
      at += bytes;
    }
    send(at - HEADER, 0);
  };

  scope.postMessage("serving");
  for (;;) {
    const length = libc.read(fd, request, BigInt(request.length));
    if (length <= 0) {
      scope.close();
      return;
    }
    const node = asked.getUint32(16, true);
    switch (asked.getUint32(4, true)) {
      case 1: { // LOOKUP
        const child = lookup(
          node,
          decoder.decode(request.subarray(40, length - 1)),
        );
        if (child === 0) {
          zero(HEADER, 128);
          out.setUint32(HEADER + 16, DAY_SECONDS, true);
        } else entry(HEADER, child);
        send(128, 0);
        break;
      }
      case 3: // GETATTR
        zero(HEADER, 16);
        out.setUint32(HEADER, DAY_SECONDS, true);
        attributes(HEADER + 16, node);
        send(104, 0);
        break;
      case 15: { // READ
        const offset = asked.getUint32(48, true) +
          asked.getUint32(52, true) * TWO_32;
        const size = asked.getUint32(56, true);
        if (node === BIG_NODE) {
          const wanted = Math.max(0, Math.min(size, bigBytes - offset));
          send(libc.pread(bigFd, payload, BigInt(wanted), BigInt(offset)), 0);
        } else send(Math.max(0, Math.min(100 - offset, size)), 0);
        break;
      }
      case 17: // STATFS
        zero(HEADER, 80);
        out.setUint32(HEADER + 40, 4096, true);
        out.setUint32(HEADER + 44, 255, true);
        send(80, 0);
        break;
      case 22: // GETXATTR
      case 23: // LISTXATTR
        send(0, EOPNOTSUPP);
        break;
      case 26: { // INIT
        const wanted = 1 | 1 << 5 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 18 |
          1 << 22 | 1 << 23 | 1 << 24;
        zero(HEADER, 64);
        out.setUint32(HEADER, 7, true);
        out.setUint32(HEADER + 4, 41, true);
        out.setUint32(HEADER + 8, asked.getUint32(48, true), true);
        out.setUint32(HEADER + 12, wanted & asked.getUint32(52, true), true);
        out.setUint16(HEADER + 16, 256, true);
        out.setUint16(HEADER + 18, 192, true);
        out.setUint32(HEADER + 20, 1 << 20, true);
        out.setUint32(HEADER + 24, 1, true);
        out.setUint16(HEADER + 28, 256, true);
        send(64, 0);
        break;
      }
      case 28:
        list(node, false);
        break;
      case 44:
        list(node, true);
        break;
      case 2: // FORGET
      case 36: // INTERRUPT
      case 42: // BATCH_FORGET
        break;
      case 38: // DESTROY
        send(0, 0);
        break;
      default: // OPEN and OPENDIR among them: the kernel stops asking
        send(0, ENOSYS);
    }
  }
};
