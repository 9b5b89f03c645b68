/**
 * The layer that file system benchmarks serve: 50 000 small files and a big one.
 * @module
 */
import { compileTree } from "../../lib/layerfs/mod.ts";
import type { ZtocEntry } from "../../lib/ztoc/mod.ts";
import { cacheFolder, exists } from "./support.ts";

export const DIRECTORIES = 500;
export const FILES_PER_DIRECTORY = 100;
/** Bytes of each small file. */
export const SMALL_BYTES = 100;
/** Bytes of `big`. */
export const BIG_BYTES = 512 * 2 ** 20;

/** Its only layer's slot. */
export const SLOT = 1;
const SPAN_BYTES = 4 * 2 ** 20;
const BLOCK = 512;
const encoder = new TextEncoder();

function tarEntry(
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

/** `big` first, so that the baseline can read the same file. */
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

/** Makes the layer's folder where it is not there yet, its data all present. */
export function makeLayer(): { folder: string; spanCount: number } {
  const { entries, dataSize } = describeLayer();
  const spanStarts: number[] = [];
  for (let at = 0; at < dataSize; at += SPAN_BYTES) spanStarts.push(at);
  const folder = `${cacheFolder()}/layers`;
  const data = `${folder}/${SLOT}/data`;
  Deno.mkdirSync(`${folder}/${SLOT}`, { recursive: true });
  Deno.writeFileSync(
    `${folder}/${SLOT}/tree`,
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
  return { folder, spanCount: spanStarts.length };
}
