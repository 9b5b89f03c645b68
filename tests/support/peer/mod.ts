/**
 * Third-party programs to test against: newer releases of containerd, the EROFS tools, the stargz
 * snapshotter, and the existing SOCI daemon and command line. We must be able to exchange artifacts with the latter in
 * both directions.
 * @module
 */
export {
  debianMirror,
  newerPackage,
  type NewerRelease,
  type NotHere,
} from "./debian.ts";
export { type ErofsUtils, erofsUtils } from "./erofs.ts";
export {
  newerContainerd,
  newerRunc,
  type SociPeer,
  sociPeer,
} from "./programs.ts";
export { SOCI_RELEASE, sociRelease, testWithSociRelease } from "./release.ts";
export { type PeerDaemon, startSociPeer } from "./daemon.ts";
export {
  ctrRemote,
  type Stargz,
  stargz,
  type StargzDaemon,
  startStargz,
} from "./stargz.ts";
export { nameLoopback } from "./hosts.ts";
export { testOnDebian } from "./on_debian.ts";
