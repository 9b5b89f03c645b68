/**
 * The registry client (OCI distribution specification): fetches and pushes images, layers and
 * indexes. A {@linkcode RegistryClient} asks mirrors first, logs in when asked to, follows
 * redirects without sending credentials along, retries what may pass, and bounds what it accepts.
 *
 * It may connect to the hosts that references, mirrors and redirects name, and read Docker's
 * credentials and `hosts.toml`. Everything that comes back is untrusted. Manifests and small blobs
 * are checked against their digest here; the readers of streams and ranges check those. It must not
 * know what an image means: to it, platforms, layers and SOCI's artifacts are content under a
 * digest.
 * @module
 */
export { type Cancellable, RegistryClient, type Repository } from "./client.ts";
export {
  InvalidReferenceError,
  parseHost,
  parseReference,
  Reference,
} from "../../formats/reference/mod.ts";
export type { FetchedManifest, PushedManifest } from "./manifests.ts";
export type { RangeOptions } from "./ranges.ts";
export type { BlobSource } from "./upload.ts";
export type {
  Capability,
  HostOptions,
  LoginOptions,
  Mirror,
  PlaceOptions,
  RegistryClientOptions,
  RetryOptions,
  TimeoutOptions,
} from "./options.ts";
export {
  boundCredentials,
  type Credential,
  type CredentialStore,
  firstCredentials,
  type Login,
  passwordCredential,
  type TokenServers,
} from "./credentials.ts";
export { askProgram, type ProgramAnswer } from "./ask_program.ts";
export {
  CredentialError,
  credentialIn,
  dockerCredentials,
  isCovered,
} from "./docker_credentials.ts";
export {
  RegistryError,
  type RegistryErrorFacts,
  type RegistryErrorKind,
} from "./errors.ts";
export { hostsDir, HostsDirError } from "./hosts_dir.ts";
