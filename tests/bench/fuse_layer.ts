/**
 * The layer that file system benchmarks serve: `d<0…499>/f<0…99>` of 100 bytes each and `big`, all of it
 * in the data file. The C client (`fuse_c/client.c`) knows this shape.
 * @module
 */
import { compileTree } from "../../lib/layers/compiler/mod.ts";
import type { ZtocEntry } from "../../lib/formats/ztoc/mod.ts";
import { cacheFolder, exists, run } from "./support.ts";

export const DIRECTORIES = 500;
export const FILES_PER_DIRECTORY = 100;
/** Bytes of each small file. */
export const SMALL_BYTES = 100;
/** Bytes of `big`. */
export const BIG_BYTES = 512 * 2 ** 20;
const SPAN_BYTES = 4 * 2 ** 20;
const BLOCK = 512;

/** The layer on disk, several times: each is new to the kernel, the later ones not to the server. */
export interface BenchLayer {
  /** Folder that holds `<slot>/tree` and `<slot>/data`, the same files for all slots. */
  readonly folder: string;
  readonly slots: readonly number[];
  readonly spanCount: number;
}

const encoder = new TextEncoder();

/** An entry of a ztoc, as these benchmarks need it: a file or a directory. */
export function tarEntry(
  name: string,
  fields: { type: "reg" | "dir"; offset?: number; size?: number },
): ZtocEntry {
  const none = new Uint8Array();
  const { type, offset = 0, size = 0 } = fields;
  return {
    name: encoder.encode(name),
    type,
    offset,
    size,
    linkname: none,
    mode: type === "dir" ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    uname: none,
    gname: none,
    modTime: "2024-05-06T07:08:09Z",
    devMajor: 0,
    devMinor: 0,
    xattrs: [],
  };
}

function describeLayer(): { entries: ZtocEntry[]; dataSize: number } {
  const entries = [tarEntry("big", { type: "reg", size: BIG_BYTES })];
  let offset = BIG_BYTES;
  for (let d = 0; d < DIRECTORIES; d++) {
    entries.push(tarEntry(`d${d}/`, { type: "dir" }));
    for (let f = 0; f < FILES_PER_DIRECTORY; f++) {
      const size = SMALL_BYTES;
      entries.push(tarEntry(`d${d}/f${f}`, { type: "reg", offset, size }));
      offset += 2 * BLOCK;
    }
  }
  return { entries, dataSize: offset };
}

/** Makes the layer, once. */
export function makeBenchLayer(): BenchLayer {
  const slots = [1, 2, 3, 4];
  const { entries, dataSize } = describeLayer();
  const spanStarts: number[] = [];
  for (let at = 0; at < dataSize; at += SPAN_BYTES) spanStarts.push(at);
  const folder = `${cacheFolder()}/layers`;
  const data = `${folder}/1/data`;
  for (const slot of slots) {
    Deno.mkdirSync(`${folder}/${slot}`, { recursive: true });
  }
  Deno.writeFileSync(
    `${folder}/1/tree`,
    compileTree({ entries, spanStarts, dataSize }),
  );
  if (!exists(data) || Deno.statSync(data).size !== dataSize) {
    using file = Deno.openSync(data, { write: true, create: true });
    const block = new Uint8Array(SPAN_BYTES);
    for (let at = 0; at < dataSize; at += block.length) {
      for (let i = 0; i < block.length; i += 65536) {
        crypto.getRandomValues(block.subarray(i, i + 65536));
      }
      file.writeSync(block);
    }
    file.truncateSync(dataSize);
  }
  for (const slot of slots.slice(1)) {
    for (const name of ["tree", "data"]) {
      const path = `${folder}/${slot}/${name}`;
      if (exists(path)) Deno.removeSync(path);
      Deno.linkSync(`${folder}/1/${name}`, path);
    }
  }
  return { folder, slots, spanCount: spanStarts.length };
}

/** Ends a server of the layer, by force where it does not by itself, and takes its mounts away. */
export async function endServer(
  server: Deno.ChildProcess,
  mounts: string,
): Promise<void> {
  await server.stdin.close();
  const kill = setTimeout(() => server.kill("SIGKILL"), 30_000);
  await server.status;
  clearTimeout(kill);
  // Nothing is left of a server that ended by itself.
  await run("sh", [
    "-c",
    'umount -l "$1" "$1"/* 2>/dev/null; true',
    "sh",
    mounts,
  ]);
  Deno.removeSync(mounts, { recursive: true });
}
