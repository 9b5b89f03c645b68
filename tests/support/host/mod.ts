/**
 * Real programs that the tests talk to, each with its own files, ports and sockets: containerd with
 * runc, Debian's docker-registry, a throw-away certificate authority. Also finds what a test left
 * behind. `await using` stops whatever is started.
 * @module
 */
export {
  CommandError,
  type CommandOptions,
  type CommandResult,
  run,
  tryRun,
} from "./command.ts";
export {
  freePort,
  pause,
  type Service,
  ServiceError,
  startService,
  unixSocketAnswers,
} from "./service.ts";
export { type DockerRegistry, startDockerRegistry } from "./docker_registry.ts";
export {
  type CertificateAuthority,
  makeCertificateAuthority,
  type ServerCertificate,
} from "./certificates.ts";
export {
  type Leftovers,
  leftovers,
  processesNaming,
  unmountAll,
} from "./leftovers.ts";
export { type ContainerdOptions, writeHostsToml } from "./containerd_config.ts";
export {
  type Containerd,
  ctrExec,
  ctrPull,
  ctrRun,
  type CtrRunOptions,
  startContainerd,
} from "./containerd.ts";
export { type DiskKind, SmallDisk } from "./small_disk.ts";
export { Systemd } from "./systemd.ts";
export { CriClient, type CriContainer, type CriRunOptions } from "./cri.ts";
export {
  permissionFlags,
  permissionSets,
  PROGRAM_FOLDER,
  sociDenoCommand,
  sociDenoNamed,
  sociDenoWith,
} from "./program.ts";
