/**
 * The few calls into libc, each wrapped once. Everything that leaves the sandbox through FFI leaves
 * through this room, so what the FFI permission is used for can be read here.
 * @module
 */
export { libc, LIBC_PATH } from "./libc.ts";
export { isBeingKilled, waitsBegun } from "./threads.ts";
export { ERRNO, errnoName, lastErrno, OsError, raise } from "./errno.ts";
export {
  closeFd,
  cString,
  dataSync,
  dataSyncElsewhere,
  descriptorTarget,
  fileSize,
  listNames,
  makeFolder,
  O,
  openFd,
  preadFully,
  punchHole,
  pwriteFully,
  readWholeFile,
  truncateFd,
  writeText,
} from "./files.ts";
export { addressOf, FileMapping } from "./mapping.ts";
export {
  sendDescriptors,
  setCloseOnExec,
  takeDescriptor,
} from "./descriptors.ts";
export {
  bootId,
  endProcess,
  isStuckDying,
  processArguments,
  processStart,
  reexecute,
  signalProcess,
  spawnHolder,
} from "./processes.ts";

export { MADV_DONTNEED } from "./mapping.ts";
