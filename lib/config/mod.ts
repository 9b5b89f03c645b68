/**
 * Configuration: the daemon's `config.toml`.
 *
 * The keys are those of the existing SOCI daemon, so that a host can switch by changing the binary;
 * a key we do not know, or that has no effect here, is a warning, never silence. A zero or an empty string means the default,
 * except where noted in the schema.
 * @module
 */
export type {
  BackgroundFetchConfig,
  BlobConfig,
  CacheConfig,
  Config,
  FilesystemConfig,
  HttpConfig,
  MirrorConfig,
  NetworkConfig,
  OpeningConfig,
  PrefetchConfig,
  ProgramConfig,
  PullModeConfig,
  PullModesConfig,
  ResolverConfig,
  ResolverHostConfig,
} from "./config.ts";
export type {
  ContentStoreConfig,
  CredentialProviderConfig,
  CriKeychainConfig,
  EagerConfig,
  FuseConfig,
  KubeconfigKeychainConfig,
  LoadOrderConfig,
  ParallelPullConfig,
  RecordingConfig,
  SnapshotterConfig,
  TrustConfig,
} from "./config.ts";
export {
  ConfigError,
  DEFAULT_CONFIG_PATH,
  defaultConfig,
  sizeBytes,
} from "./schema.ts";
export {
  checkConfig,
  type ConfigFinding,
  describeFinding,
  loadConfig,
  type ParsedConfig,
  readConfigFile,
} from "./load.ts";
export { configurationPage } from "./reference.ts";
export { configKeyName, dumpConfig } from "./dump.ts";
