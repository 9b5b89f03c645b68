/**
 * What the index tools do: make ztocs and indexes of an image, bind them to it (v2), push them, and
 * look at them. Everything works from any source to any sink of `remote/content`.
 *
 * A *build* reads each layer once, as a stream, and stores its ztoc when it is finished. A *ledger*
 * records that, so an interrupted build resumes where it stopped. The index is stored last, so its ztocs
 * are never missing.
 *
 * It may read the places it is given, write to the sink it is given, and note what it made in the local
 * store. It must not know command lines or print anything (it reports through callbacks), nor know about
 * served layers.
 * @module
 */
export {
  type BuildOptions,
  buildZtocs,
  type BuiltImage,
  type BuiltLayer,
  type IndexParts,
  type MadeIndex,
  putIndexV1,
} from "./build.ts";
export { type MadeCompanion } from "./companion.ts";
export { type MadeZtoc, putMadeIndex } from "./put_made.ts";
export {
  type Converted,
  convertImage,
  type ConvertOptions,
  type PinnedOrder,
} from "./convert.ts";
export {
  databaseLedger,
  existingIndexLedger,
  type KnownZtoc,
  type WantedZtoc,
  type ZtocLedger,
} from "./ledger.ts";
export { keepConversion, keepIndexV1 } from "./local.ts";
export {
  type CopiedBeside,
  type CopiedImage,
  copyImage,
  type CopyOptions,
} from "./copy.ts";
export { type PushOptions, pushTree } from "./push.ts";
export {
  type ExistingIndex,
  isConverted,
  type PushedIndex,
  type PushIndexOptions,
  pushNewestIndex,
} from "./push_index.ts";
export {
  type InspectedImage,
  type InspectedLayer,
  inspectImage,
} from "./inspect.ts";
export { type ZtocInfo, ztocInfo } from "./ztoc_info.ts";
export { SpanBytes } from "./span_bytes.ts";
export { NoSuchFileError, readFileOfLayer } from "./get_file.ts";
