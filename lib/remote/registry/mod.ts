/**
 * The distribution client: where images, layers and indexes are fetched from and pushed to.
 *
 * Every body is bounded and compared with its digest, every redirect is followed by hand and loses its
 * credentials, and no error or log names a query string or a secret.
 *
 * It may use the network, credential helpers and `hosts.toml`. It must not know what an index or a
 * layer is for.
 * @module
 */
export {
  boundCredentials,
  type Credential,
  type CredentialStore,
  firstCredentials,
  type Login,
  passwordCredential,
  staticCredentials,
} from "./credentials.ts";
export { CredentialError, dockerCredentials } from "./docker_credentials.ts";
export {
  RegistryError,
  type RegistryErrorFacts,
  type RegistryErrorKind,
} from "./errors.ts";
export {
  InvalidReferenceError,
  parseHost,
  parseReference,
  Reference,
} from "./reference.ts";
export { type Cancellable, RegistryClient, type Repository } from "./client.ts";
export type { FetchedManifest, PushedManifest } from "./manifests.ts";
export { hostsDir, HostsDirError } from "./hosts_dir.ts";
export type {
  Capability,
  HostOptions,
  Mirror,
  PlaceOptions,
  RegistryClientOptions,
  RetryOptions,
  TimeoutOptions,
} from "./options.ts";
export type { BlobSource } from "./push.ts";
export type { TlsOptions } from "./tls.ts";
