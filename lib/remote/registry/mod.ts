/**
 * The distribution client: where images, layers and indexes are fetched from and pushed to.
 * @module
 */
export { type Challenge, parseChallenges } from "./challenge.ts";
export {
  anonymous,
  type Credential,
  type CredentialStore,
  firstCredentials,
  passwordCredential,
  staticCredentials,
} from "./credentials.ts";
export {
  CredentialError,
  dockerConfigPath,
  dockerCredentials,
} from "./docker_credentials.ts";
export {
  RegistryError,
  type RegistryErrorFacts,
  type RegistryErrorKind,
} from "./errors.ts";
export {
  InvalidReferenceError,
  parseReference,
  Reference,
} from "./reference.ts";
export { type Cancellable, RegistryClient, type Repository } from "./client.ts";
export type { FetchedManifest, PushedManifest } from "./manifests.ts";
export { hostsDir, HostsDirError, parseHosts } from "./hosts_dir.ts";
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
export { fallbackTag } from "./referrers.ts";
export type { TlsOptions } from "./tls.ts";
