/**
 * Programs of other people to test against: the existing SOCI daemon and command line, which must
 * read what we write and write what we read, newer releases of containerd, and the EROFS tools.
 * @module
 */
export {
  debianMirror,
  newerPackage,
  type NewerRelease,
  type NotHere,
} from "./debian.ts";
export { type ErofsUtils, erofsUtils } from "./erofs.ts";
export { newerContainerd, type SociPeer, sociPeer } from "./programs.ts";
export { type PeerDaemon, startSociPeer } from "./daemon.ts";
export { nameLoopback } from "./hosts.ts";
export { testOnDebian } from "./on_debian.ts";
