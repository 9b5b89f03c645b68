/**
 * The existing SOCI daemon and command line, to test against: it must read what we write, and we
 * must read what it writes.
 * @module
 */
export { debianMirror, unpackPackage } from "./debian.ts";
export { type NoPeer, type SociPeer, sociPeer } from "./programs.ts";
export { type PeerDaemon, startSociPeer } from "./daemon.ts";
export { nameLoopback, trustAuthority } from "./system.ts";
