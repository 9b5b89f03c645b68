/**
 * Container images made in memory for the tests: archives written by hand down to the byte, layers
 * in every packing, images and indexes, and a push that shares no code with what is tested.
 *
 * Ready-made ones: `oddImage` (everything a file system can hold), `programImage` (a Python that
 * runs), `pauseImage` (sleeps).
 * @module
 */
export {
  DEFAULT_TIME,
  type EntryOptions,
  joinBytes,
  rawBytes,
  type RawName,
  TarBuilder,
  TarBuildError,
  type TarFormat,
  type TarTime,
} from "./tar_builder.ts";
export { type LayerBlob, layerBlob, type LayerPacking } from "./layer.ts";
export {
  type Image,
  imageIndex,
  type ImageSet,
  makeImage,
  type RunConfig,
} from "./image.ts";
export { PushError, pushImage, type PushOptions } from "./push.ts";
export {
  addBusybox,
  BUSYBOX_APPLETS,
  busyboxBytes,
  pauseImage,
} from "./pause.ts";
export { longZtoc } from "./long_ztoc.ts";
export { writeLayout } from "./layout.ts";
export { oddImage } from "./odd.ts";
export { compressible, incompressible } from "./random.ts";
export { PRIVILEGED_SCRIPT, privilegedImage } from "./privileged.ts";
export { programImage } from "./program.ts";
export {
  checkedImage,
  checkedLayer,
  CHECKER,
  type CheckReport,
  readCheckReport,
} from "./checked.ts";
