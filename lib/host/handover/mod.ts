/**
 * How a daemon's work passes to its successor without being noticed by users of the mounts.
 *
 * Terms. A FUSE mount lives as long as somebody has its descriptor open. The *holder* keeps it open
 * beyond the daemon's life: the service manager's descriptor store if there is one, else a tiny process
 * of our own. It keeps the socket that containerd calls, too, if the daemon made that itself: calls wait
 * there for the next process. The *state file* in the daemon's root says which mounts there are, what was
 * negotiated for them and who the holder is.
 *
 * ```
 *            mounts anew                  SIGKILL, crash, SIGTERM
 *  no state ────────────► served, held ◄─────────────────────────► held, nobody serves:
 *     ▲                        │            next process takes      readers wait
 *     └──── detach, release ───┴────────────────────────────────────────┘
 * ```
 *
 * `MountKeeper` implements all of that. A successor calls `take`, restores its layers, and only then
 * serves. Before that nothing may access the mounts, because nobody would answer.
 *
 * `ControlServer` and `askTakeover` are for a successor that comes while its predecessor lives: the
 * predecessor first saves and closes its state, keeps answering reads as long as it can, and ends when
 * the successor is ready. `ServiceManager` implements systemd's protocol.
 * @module
 */
export {
  type LivingMount,
  MountKeeper,
  type MountKeeperOptions,
  type TakeResult,
} from "./keeper.ts";
export {
  fileAt,
  type ListeningSocket,
  removeSocket,
  type SocketName,
} from "./kept_socket.ts";
export {
  type GivenDescriptor,
  type ServiceEnvironment,
  ServiceManager,
} from "./service_manager.ts";
export {
  askRecording,
  askTakeover,
  type ControlQuestions,
  ControlServer,
  Predecessor,
  type Takeover,
} from "./control.ts";
export { TakeoverError } from "./line.ts";
export {
  type RecordedReads,
  RecordingClient,
  type RecordingProgress,
  type RecordReads,
  type SpokenRead,
} from "./record.ts";
