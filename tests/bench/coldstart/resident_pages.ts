/** Which parts of files are in the kernel's page cache. @module */
import { LIBC_PATH } from "../../../lib/host/os/mod.ts";

/** A part of a file, in bytes. */
export interface Range {
  readonly offset: number;
  readonly length: number;
}

const PAGE = 4096;
const PROT_READ = 1;
const MAP_SHARED = 1;
const O_RDONLY = 0;

const libc = Deno.dlopen(LIBC_PATH, {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  mmap: {
    parameters: ["usize", "usize", "i32", "i32", "i32", "i64"],
    result: "i64",
  },
  munmap: { parameters: ["i64", "usize"], result: "i32" },
  mincore: { parameters: ["i64", "usize", "buffer"], result: "i32" },
}).symbols;

/** The pages of a file that are cached, as ranges, ascending. @throws Error */
export function residentRanges(path: string, sizeBytes: number): Range[] {
  if (sizeBytes === 0) return [];
  const size = BigInt(sizeBytes);
  const fd = libc.open(new TextEncoder().encode(`${path}\0`), O_RDONLY);
  if (fd < 0) throw new Error(`${path} cannot be opened`);
  const address = libc.mmap(0n, size, PROT_READ, MAP_SHARED, fd, 0n);
  libc.close(fd);
  if (address === -1n) throw new Error(`${path} cannot be mapped`);
  const pages = new Uint8Array(Math.ceil(sizeBytes / PAGE));
  const failed = libc.mincore(address, size, pages);
  libc.munmap(address, size);
  if (failed !== 0) throw new Error(`${path}: mincore failed`);
  return rangesOf(pages, sizeBytes);
}

function rangesOf(pages: Uint8Array, sizeBytes: number): Range[] {
  const ranges: Range[] = [];
  for (let page = 0; page < pages.length; page++) {
    if ((pages[page]! & 1) === 0) continue;
    let end = page + 1;
    while (end < pages.length && (pages[end]! & 1) === 1) end++;
    const offset = page * PAGE;
    ranges.push({ offset, length: Math.min(end * PAGE, sizeBytes) - offset });
    page = end;
  }
  return ranges;
}
