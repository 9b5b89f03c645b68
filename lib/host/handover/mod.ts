/**
 * How a daemon's work passes to its successor, so that nobody who uses the mounts notices.
 *
 * Terms. A FUSE mount lives as long as somebody has its descriptor open. The *holder* does that
 * beyond the daemon's life: the service manager's descriptor store where there is one, else a tiny
 * process of our own. The *state file* in the daemon's root says which mounts there are, what was
 * negotiated for them and who the holder is.
 *
 * ```
 *            mounts anew                  SIGKILL, crash, SIGTERM
 *  no state ────────────► served, held ◄─────────────────────────► held, nobody serves:
 *     ▲                        │            next process takes      readers wait
 *     └──── detach, release ───┴────────────────────────────────────────┘
 * ```
 *
 * `MountKeeper` is the whole of that. A successor calls `take`, restores what it will be asked for,
 * only then serves. Nothing before may touch the mounts: nobody would answer.
 *
 * `ControlServer` and `askTakeover` are for a successor that comes while its predecessor lives: the
 * predecessor closes its books first, answers on as long as it can, and ends when the successor is
 * ready. `ServiceManager` speaks systemd's protocol.
 * @module
 */
export {
  type LivingMount,
  MountKeeper,
  type MountKeeperOptions,
  type TakeResult,
} from "./keeper.ts";
export {
  type GivenDescriptor,
  type ServiceEnvironment,
  ServiceManager,
} from "./service_manager.ts";
export {
  askStatus,
  askTakeover,
  ControlServer,
  Predecessor,
  type Takeover,
  TakeoverError,
} from "./control.ts";
