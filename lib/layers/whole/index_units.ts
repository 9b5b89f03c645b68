/** What the indexing Worker does with a layer whose units others inflate: it reads behind them. @module */
import { type EncodedZtoc, ZtocBuilder } from "../../formats/ztoc/mod.ts";
import {
  type ComingLayer,
  type ToIndexer,
  UnitsReader,
} from "../builder/mod.ts";
import { readAt } from "./read_at.ts";

/** Bytes that are read at a time: few enough to stay in the processor's cache while they are hashed. */
const PIECE_BYTES = 256 * 1024;

/**
 * Hashes the tar, walks it and makes the ztoc. @param onPushed called now and then, and at the end.
 * @returns null where the units were given up
 */
export function indexUnits(
  coming: ComingLayer,
  { spanSizeBytes, buildTool }: ToIndexer,
  onPushed: (builder: ZtocBuilder) => void,
): EncodedZtoc | null {
  using data = Deno.openSync(coming.files.data);
  using ztoc = Deno.openSync(coming.files.ztoc);
  const { units } = coming;
  const { outputs, windows } = units;
  const reader = new UnitsReader(coming);
  const builder = new ZtocBuilder({
    ...{ compression: "gzip", spanSize: spanSizeBytes, buildTool },
    known: {
      ...units,
      digests: () => reader.digests(),
      window: (span, into) => {
        if (windows[span]! >= 0) readAt(ztoc, into, windows[span]!);
      },
    },
  });
  const piece = new Uint8Array(PIECE_BYTES);
  for (let unit = 0; unit < outputs.length; unit++) {
    if (!reader.wait(unit)) return null;
    const end = reader.end(unit);
    for (let at = outputs[unit]!; at < end; at += PIECE_BYTES) {
      const part = piece.subarray(0, Math.min(PIECE_BYTES, end - at));
      readAt(data, part, at);
      builder.push(part);
    }
    onPushed(builder);
  }
  const built = builder.finishEncoded();
  onPushed(builder);
  // What was pushed is the tar: its digest is the diff ID.
  return { ...built, diffId: built.digest };
}
