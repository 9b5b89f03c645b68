/**
 * The calls into libc, each wrapped once. Everything that leaves the sandbox through FFI leaves through
 * this room, so what the FFI permission is used for can be read here.
 *
 * It may touch the kernel, through libc alone. It must not know who asks: neither FUSE nor layers.
 *
 * Failed calls throw `OsError`. Two kinds do not: calls of hot paths (`readSome` …), which return the
 * kernel's result, and calls that run on another thread (`…Elsewhere`), where errno is lost. Buffers of
 * such a call are held until it has returned. `libc` itself is not exported.
 * @module
 */
export { lastErrno } from "./libc.ts";
export { LIBC_PATH, nameWithCalls } from "./libc_path.ts";
export { ERRNO, OsError, raise } from "./errno.ts";

// Files and descriptors.
export {
  closeFd,
  dataSync,
  dataSyncElsewhere,
  descriptorTarget,
  emptyElsewhere,
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
  writeElsewhere,
  writeText,
} from "./files.ts";
export {
  pollNow,
  readSome,
  readSomeAt,
  writeGathered,
  writeSome,
} from "./lean.ts";
export {
  duplicate,
  listenUnix,
  sendDescriptors,
  setCloseOnExec,
  takeDescriptor,
} from "./descriptors.ts";

// Mounts.
export {
  type FileSystemUse,
  fileSystemUse,
  LOWER_FLAGS,
  mountElsewhere,
  mountFileSystem,
  type MountOptions,
  MS,
  unmount,
  unmountElsewhere,
} from "./mount.ts";
export {
  attachMappedClone,
  type IdMaps,
  openUserNamespace,
} from "./user_namespace.ts";

// Time.
export { type Moment, momentNow } from "./clock.ts";

// Memory.
export {
  bytePath,
  type DirectoryAttributes,
  entryAt,
  isClosedToOthers,
  linkTarget,
  makeDirectoryOf,
  type PathEntry,
  setAttributes,
  setTime,
  xattrsOf,
} from "./directories.ts";
export { FsContext } from "./fs_context.ts";
export { addressOf, FileMapping } from "./mapping.ts";
export { dropPages, mapBuffersFrom, trimHeap } from "./heap.ts";

// Processes and threads.
export {
  bootId,
  endGroup,
  endProcess,
  isStuckDying,
  processStart,
  signalProcess,
  spawnHolder,
} from "./processes.ts";
export { ownProgram } from "./own_program.ts";
export { ProcessWatch } from "./process_watch.ts";
export { ReadWatch } from "./read_watch.ts";
export { isBeingKilled, waitsBegun, yieldCores } from "./threads.ts";
