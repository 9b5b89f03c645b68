/**
 * The distribution client (OCI distribution spec): where images, layers and indexes are fetched from and
 * pushed to. A {@linkcode RegistryClient} asks mirrors first where there are some, logs in as it is asked
 * to, follows redirects without the credentials, repeats what may be repeated, and bounds what it takes.
 *
 * It may open connections to the hosts that references, mirrors and redirects name, and read Docker's
 * credentials and `hosts.toml`. Everything that comes back is untrusted: manifests and small blobs are
 * checked against their digest here; streams and ranges are for their readers to check. It must not know
 * what an image means: platforms, layers and SOCI's artifacts are content under a digest.
 * @module
 */
export { type Cancellable, RegistryClient, type Repository } from "./client.ts";
export {
  InvalidReferenceError,
  parseHost,
  parseReference,
  Reference,
} from "./reference.ts";
export type { FetchedManifest, PushedManifest } from "./manifests.ts";
export type { BlobSource } from "./upload.ts";
export type {
  Capability,
  HostOptions,
  Mirror,
  PlaceOptions,
  RegistryClientOptions,
  RetryOptions,
  TimeoutOptions,
} from "./options.ts";
export type { TlsOptions } from "./tls.ts";
export {
  boundCredentials,
  type Credential,
  type CredentialStore,
  firstCredentials,
  type Login,
  passwordCredential,
  type TokenServers,
} from "./credentials.ts";
export { CredentialError, dockerCredentials } from "./docker_credentials.ts";
export {
  RegistryError,
  type RegistryErrorFacts,
  type RegistryErrorKind,
} from "./errors.ts";
export { hostsDir, HostsDirError } from "./hosts_dir.ts";
