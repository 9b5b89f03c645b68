/**
 * Third-party programs to test against: the existing SOCI daemon and command line, with which we must be
 * able to exchange artifacts in both directions; newer releases of containerd; and the EROFS tools.
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
