/**
 * Inflates units of one layer into the file of its tar. It holds no more than one unit's bytes of the tar, and proves nothing: what comes of
 * a unit is as true as the ztoc that told its place.
 * @module
 */
/// <reference lib="deno.worker" />
import { createHash } from "node:crypto";
import { SpanInflater, WINDOW_BYTES } from "../../formats/deflate/mod.ts";
import { yieldCores } from "../../host/os/mod.ts";
import { answerThread } from "../../host/threads/mod.ts";
import { readAt } from "./read_at.ts";
import {
  type FromInflater,
  MAX_TAIL_BYTES,
  STEPS_BEHIND_READERS,
  type ToInflater,
  type UnitWork,
  type WrittenUnit,
} from "./unit_messages.ts";
import { WRITE_BYTES } from "./write_bytes.ts";

const inflater = new SpanInflater();
const window = new Uint8Array(WINDOW_BYTES);
let files: Readonly<Record<"data" | "ztoc", Deno.FsFile>> | null = null;

yieldCores(STEPS_BEHIND_READERS);

function inflate(
  work: UnitWork,
  compressed: Uint8Array<ArrayBuffer>,
): WrittenUnit {
  const { data, ztoc } = files!;
  if (work.window < 0) window.fill(0);
  else readAt(ztoc, window, work.window);
  const most = work.isLast ? work.size + MAX_TAIL_BYTES : work.size;
  inflater.begin(work.bits, window, most);
  inflater.push(compressed);
  const hash = createHash("sha256").update(compressed);
  const bytes = inflater.endAnyway();
  const fits = work.isLast
    ? bytes.length >= work.size && bytes.length < most
    : bytes.length === work.size;
  if (!fits) throw new Error(`it gives ${bytes.length} of ${work.size} bytes`);
  data.seekSync(work.offset, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) {
    done += data.writeSync(bytes.subarray(done, done + WRITE_BYTES));
  }
  return { size: bytes.length, digest: new Uint8Array(hash.digest()) };
}

const answer = answerThread<ToInflater, FromInflater>((data) => {
  try {
    if (data.kind === "open") {
      files = {
        data: Deno.openSync(data.files.data, { write: true }),
        ztoc: Deno.openSync(data.files.ztoc),
      };
      return;
    }
    const { works, from, compressed } = data.of;
    const written = works.map((work) => {
      const own = compressed.subarray(work.start - from, work.end - from);
      try {
        return inflate(work, own);
      } catch (error) {
        throw new Error(`unit ${work.unit}: ${error}`);
      }
    });
    answer({ kind: "written", written, compressed }, [compressed.buffer]);
  } catch (error) {
    answer({ kind: "failed", detail: String(error) });
  }
});
