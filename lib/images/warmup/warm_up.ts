import { makeLayer } from "../../layers/opening/mod.ts";
import { removeFolder } from "../../host/files/mod.ts";
import { type Digest, sha256 } from "../../formats/oci/mod.ts";
import { BLOCK_BYTES } from "../../formats/tar/mod.ts";
import {
  BUILD_TOOL,
  encodeTarSpans,
  encodeZtoc,
  ZTOC_VERSION,
  type ZtocEntry,
} from "../../formats/ztoc/mod.ts";

/** Few enough that no step holds this thread for long while the code is new. */
const FILES = 1000;
const FILES_PER_DIRECTORY = 20;
/** Enough that code which runs once per file is compiled to machine code. */
const ROUNDS = 6;
const SPAN_BYTES = 2 ** 20;

/**
 * Opens a fake layer a few times, in a scratch folder, and fetches nothing. V8 runs new
 * code several times slower, and without this the layers of a real image would be the first that a new
 * daemon opens (docs/performance.md). Yields to other work after each step.
 * @param scratch path of a folder to be made and removed.
 * @param wanted called before each step; false ends it, because a real pull warms up the code better.
 */
export async function warmUp(
  scratch: string,
  wanted: () => boolean,
): Promise<void> {
  /** Lets others go first. */
  const stillWanted = () =>
    new Promise<boolean>((resolve) => setTimeout(() => resolve(wanted()), 0));
  for (let round = 0; round < ROUNDS; round++) {
    if (!(await stillWanted())) return;
    const bytes = madeUpZtoc();
    if (!(await stillWanted())) return;
    sha256(bytes);
    const steps = makeLayer({
      slot: 0,
      path: scratch,
      ztoc: { kind: "bytes", bytes },
      headers: "checked",
      trees: "current",
      image: true,
    }, () => {});
    try {
      do {
        if (!(await stillWanted())) return;
      } while (!steps.next().done);
    } finally {
      removeFolder(scratch);
    }
  }
}

function madeUpZtoc(): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const none = new Uint8Array(0);
  let at = 0;
  const entries: ZtocEntry[] = [];
  for (let file = 0; file < FILES; file++) {
    const directory = Math.floor(file / FILES_PER_DIRECTORY);
    const name = `usr/lib/directory-${directory}/file-${file}`;
    const link = file % 10 === 0;
    const size = link ? 0 : BLOCK_BYTES;
    at += BLOCK_BYTES;
    entries.push({
      name: encoder.encode(name),
      type: link ? "symlink" : "reg",
      offset: at,
      size,
      linkname: link ? encoder.encode("file-0") : none,
      mode: 0o644,
      uid: 0,
      gid: 0,
      uname: encoder.encode("root"),
      gname: encoder.encode("root"),
      modTime: "2024-01-01T00:00:00Z",
      devMajor: 0,
      devMinor: 0,
      xattrs: [],
    });
    at += size;
  }
  const uncompressedSize = at + 2 * BLOCK_BYTES;
  const count = Math.ceil(uncompressedSize / SPAN_BYTES);
  const digest: Digest = sha256(none);
  return encodeZtoc({
    version: ZTOC_VERSION,
    buildTool: BUILD_TOOL,
    compressedSize: uncompressedSize,
    uncompressedSize,
    entries,
    compression: "uncompressed",
    spanDigests: Array.from({ length: count }, () => digest),
    checkpoints: encodeTarSpans({
      spanSize: SPAN_BYTES,
      size: uncompressedSize,
    }),
  });
}
