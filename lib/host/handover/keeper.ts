import { canResend, type Negotiated } from "../fuse/mod.ts";
import {
  abortConnection,
  isFuseDescriptor,
  listMounts,
  MOUNT_TYPE,
  mountDevice,
} from "../mounting/mod.ts";
import {
  bootId,
  closeFd,
  endProcess,
  OsError,
  processStart,
  spawnHolder,
  takeDescriptor,
} from "../os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { isReadOnlyDisk } from "../files/mod.ts";
import { HolderWatch } from "./holder_watch.ts";
import {
  fileAt,
  isInPlace,
  isSameSocket,
  type ListeningSocket,
  removeSocket,
  type SocketName,
} from "./kept_socket.ts";
import { ServiceManager, STORE_PREFIX } from "./service_manager.ts";
import {
  HANDOVER_SCHEMA,
  type HandoverState,
  HandoverStateError,
  readHolder,
  readState,
  removeState,
  writeState,
} from "./state.ts";

const log = logger("handover");
/** Minimum time between two holders, ms: whatever ends a holder may end every new one, too. */
const BETWEEN_HOLDERS_MS = 1_000;
/** Number of the first descriptor in the holder process. */
const FIRST_HELD = 3;
/** What the service manager's store calls the listening socket. */
const SOCKET_NAME = `${STORE_PREFIX}listener`;

/** A FUSE mount that may outlive this process. */
export interface LivingMount {
  /** Which of the daemon's mounts it is. */
  readonly name: string;
  /** Where it is mounted: an absolute path. */
  readonly mountpoint: string;
  /** `/dev/fuse`, ours. */
  readonly fd: number;
  /** What INIT agreed on, for as long as the mount lives. */
  readonly negotiated: Negotiated;
}

/**
 * - `taken`: the predecessor's mounts; the caller owns the descriptors. The kernel was not asked to
 *   resend anything yet.
 * - `fresh`: there was no predecessor.
 * - `lost`: there was one, but its mounts cannot be served any more; `why` gives the reason. Detach
 *   them.
 */
export type TakeResult =
  | { readonly kind: "taken"; readonly mounts: readonly LivingMount[] }
  | { readonly kind: "fresh" }
  | { readonly kind: "lost"; readonly why: string };

/** Where a keeper writes its state, and who keeps the descriptors. */
export interface MountKeeperOptions {
  /** The state file. */
  readonly statePath: string;
  /** Keeps the descriptors, if it can; otherwise a holder process does. */
  readonly manager?: ServiceManager;
}

/**
 * Keeps descriptors open beyond this process, and finds those of the last one: of FUSE mounts, and of the socket
 * on which containerd's calls wait for the next process.
 */
export class MountKeeper implements AsyncDisposable {
  readonly #path: string;
  readonly #manager: ServiceManager;
  #watch: HolderWatch | null = null;
  #socket: ListeningSocket & SocketName | null = null;
  /** When a holder was replaced last, as `performance.now()` says it. */
  #replacedAt = -Infinity;

  /** Does nothing yet; see `take`. */
  constructor({ statePath, manager }: MountKeeperOptions) {
    this.#path = statePath;
    this.#manager = manager ?? new ServiceManager();
  }

  /**
   * Takes what the last process left. No mount is touched, so this never waits for a server.
   * @param names the mounts wanted; all of them or none are taken.
   */
  take(names: readonly string[]): TakeResult {
    const given = new Map(
      this.#manager.given.filter(({ name }) =>
        name.startsWith(STORE_PREFIX) && name !== SOCKET_NAME
      ).map(({ name, fd }) => [name.slice(STORE_PREFIX.length), fd]),
    );
    const mounts: LivingMount[] = [];
    const lost = (why: string): TakeResult => {
      for (const { fd } of mounts) closeFd(fd);
      for (const [name, fd] of given) {
        closeFd(fd);
        this.#manager.forget(`${STORE_PREFIX}${name}`);
      }
      return { kind: "lost", why };
    };
    let state: HandoverState | null;
    try {
      state = readState(this.#path);
    } catch (error) {
      if (error instanceof HandoverStateError) return lost(error.message);
      throw error;
    }
    if (state === null) {
      return given.size === 0 && !this.#mountsLeft()
        ? { kind: "fresh" }
        : lost(`${this.#path} is missing`);
    }
    if (state.bootId !== bootId()) {
      this.#removeState();
      return { kind: "fresh" }; // its mounts ended with the last boot
    }
    if (state.mounts.length === 0) return { kind: "fresh" };
    for (const name of names) {
      const kept = state.mounts.find((mount) => mount.name === name);
      if (kept === undefined) return lost(`mount ${name} was never ready`);
      const { mountpoint, negotiated } = kept;
      const device = mountDevice(mountpoint);
      if (device !== kept.device) {
        return lost(
          `${mountpoint} is ${
            device === null ? "not mounted" : `device ${device}`
          }, not ${kept.device}`,
        );
      }
      if (!canResend(negotiated)) {
        return lost("the kernel cannot ask again (Linux 6.9 and later can)");
      }
      let fd = given.get(name);
      given.delete(name);
      if (fd === undefined) {
        const held = this.#fromHolder(state, kept.heldAs);
        if (typeof held === "string") return lost(held);
        fd = held;
      }
      mounts.push({ name, mountpoint, fd, negotiated });
      if (!isFuseDescriptor(fd)) {
        return lost(`the descriptor kept for ${name} is no FUSE device`);
      }
    }
    for (const fd of given.values()) closeFd(fd); // their mounts no longer exist
    return { kind: "taken", mounts };
  }

  /**
   * Takes the socket on which the last process listened, with the calls that wait there. Null when none was kept,
   * or when clients of that address come to another one by now. The caller owns the descriptor.
   */
  takeSocket(address: string): number | null {
    const state = this.#stateIfAny();
    const kept = state?.socket;
    if (
      kept === undefined || state?.bootId !== bootId() ||
      kept.address !== address || !isInPlace(kept)
    ) return null;
    const given = this.#manager.given.find(({ name }) => name === SOCKET_NAME);
    if (given !== undefined) return given.fd;
    const held = this.#fromHolder(state, kept.heldAs);
    return typeof held === "string" ? null : held;
  }

  /** Names the socket on which this process listens, for the next `keep`. @returns null when it has no file. */
  listensOn(socket: ListeningSocket): SocketName | null {
    const file = fileAt(socket.address);
    return this.#socket = file === null ? null : { ...socket, file };
  }

  /** Has the socket outlive this process, although no mount does. Cheap where it does so already. */
  keepSocket(): void {
    if (this.#socket !== null && !this.keepsSocket) this.keep([]);
  }

  /** Whether the socket outlives this process. */
  get keepsSocket(): boolean {
    const state = this.#stateIfAny();
    return this.#socket !== null && state !== null &&
      state.bootId === bootId() && isSameSocket(state.socket, this.#socket) &&
      (this.#manager.storesDescriptors || holderLives(state));
  }

  /** Whether mounts of ours exist below the folder of the state file. */
  #mountsLeft(): boolean {
    const folder = this.#path.slice(0, this.#path.lastIndexOf("/") + 1);
    return listMounts().some(({ mountpoint, type }) =>
      type === MOUNT_TYPE && mountpoint.startsWith(folder)
    );
  }

  /** Why `take` would not succeed now; null when it would. Changes nothing. */
  probe(names: readonly string[]): string | null {
    const result = this.take(names);
    switch (result.kind) {
      case "taken":
        for (const { fd } of result.mounts) closeFd(fd);
        return null;
      case "fresh":
        return "nothing is kept";
      case "lost":
        return result.why;
    }
  }

  /** The holder's descriptor as ours, or why not. */
  #fromHolder(
    { holder }: HandoverState,
    heldAs: number | null,
  ): number | string {
    if (holder === null || heldAs === null) {
      return "nobody holds its descriptor";
    }
    if (processStart(holder.pid) !== holder.started) {
      return `the holder, process ${holder.pid}, is gone`;
    }
    try {
      return takeDescriptor(holder.pid, heldAs);
    } catch (error) {
      if (error instanceof OsError) return error.message;
      throw error;
    }
  }

  /**
   * From now on the mounts outlive this process, however it ends. Call it again (it is cheap) to make
   * sure that they still do. If the machine does not allow it, the log says so.
   * @param slots what numbers the kernel may know by them, for the next process to compare.
   */
  keep(
    mounts: readonly LivingMount[],
    slots?: { readonly generation: string; readonly highest: number },
  ): void {
    const before = this.#stateIfAny();
    if (before !== null && this.#keeps(before, mounts)) {
      this.#remember(before, slots);
      return this.#watchOver(before.holder, mounts, slots);
    }
    const former = this.#holder();
    const socket = this.#socket;
    if (before?.socket && !isSameSocket(before.socket, socket)) {
      removeSocket(before.socket); // nobody serves it any more
    }
    for (const { name, fd } of mounts) {
      this.#manager.store(`${STORE_PREFIX}${name}`, fd);
    }
    if (socket !== null) this.#storeSocket(socket);
    const remember = (holder: HandoverState["holder"]) =>
      writeState(this.#path, {
        schema: HANDOVER_SCHEMA,
        bootId: bootId(),
        mounts: mounts.map(({ name, mountpoint, negotiated }, i) => ({
          name,
          mountpoint,
          device: mountDevice(mountpoint) ?? "",
          negotiated: { ...negotiated },
          heldAs: holder === null ? null : FIRST_HELD + i,
        })),
        holder,
        ...(socket !== null && {
          socket: {
            address: socket.address,
            file: socket.file,
            heldAs: holder === null ? null : FIRST_HELD + mounts.length,
          },
        }),
        ...(slots !== undefined && { slots: named(slots) }),
      });
    const held = mounts.map(({ fd }) => fd);
    if (socket !== null) held.push(socket.fd);
    if (this.#manager.storesDescriptors) {
      remember(null);
      return this.#end(former);
    }
    try {
      spawnHolder(held, this.#path, (pid) => {
        const started = processStart(pid);
        if (started === null) throw new Error("it ended at once");
        remember({ pid, started });
        this.#watchOver({ pid, started }, mounts, slots);
      });
    } catch (error) {
      if (former !== null && before !== null && isHeld(before, mounts)) {
        return log.warn("no other holder process: the former one stays", {
          error: String(error),
        });
      }
      try {
        remember(null);
      } catch (unwritten) {
        log.warn("no hand-over state can be written", {
          error: String(unwritten),
        });
      }
      log.warn("no holder process: containers may not survive a restart", {
        error: String(error),
      });
    }
    this.#end(former); // not before another one has what it held: this process may be killed at any moment
  }

  /** Under one name there may be several: the ones of former sockets go. */
  #storeSocket({ fd }: ListeningSocket): void {
    this.#manager.forget(SOCKET_NAME);
    this.#manager.store(SOCKET_NAME, fd);
  }

  /** Has a state name the slots; nothing is written when it does. */
  #remember(state: HandoverState, slots: HandoverState["slots"]): void {
    if (
      slots === undefined ||
      (state.slots?.generation === slots.generation &&
        state.slots.highest === slots.highest)
    ) return;
    try {
      writeState(this.#path, { ...state, slots: named(slots) });
    } catch (error) {
      log.warn("the hand-over state names no newer slots", {
        error: String(error),
      });
    }
  }

  /** What the last process wrote of the numbers that the kernel knows by its mounts; null where that is nowhere. */
  slotMark(): { readonly generation: string; readonly highest: number } | null {
    const state = this.#stateIfAny();
    return state?.bootId === bootId() ? state.slots ?? null : null;
  }

  /** Replaces a holder that was killed; otherwise the next crash would end the mounts. */
  #watchOver(
    holder: HandoverState["holder"],
    mounts: readonly LivingMount[],
    slots: HandoverState["slots"],
  ): void {
    if (this.#watch?.pid === holder?.pid) return;
    this.#watch?.stop();
    this.#watch = holder === null ? null : HolderWatch.start(holder.pid, {
      notBefore: this.#replacedAt + BETWEEN_HOLDERS_MS,
      replace: () => {
        this.#replacedAt = performance.now();
        this.keep(mounts, slots);
      },
    });
  }

  /** Stops watching the holder; the holder stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.stop();
    this.#watch = null;
  }

  /**
   * Stops keeping the descriptors, so waiting readers of a mount that nobody serves get an error now, and so do
   * callers of a socket that nobody serves. Called when the mounts are detached for good.
   */
  release(): void {
    const state = this.#stateIfAny();
    for (const { name, mountpoint, device } of state?.mounts ?? []) {
      this.#manager.forget(`${STORE_PREFIX}${name}`);
      if (mountDevice(mountpoint) === device) abortConnection(mountpoint);
    }
    this.#watch?.stop();
    this.#watch = null;
    this.#end(this.#holder());
    this.#removeState();
    if (!state?.socket) return;
    this.#manager.forget(SOCKET_NAME);
    if (!isSameSocket(state.socket, this.#socket)) removeSocket(state.socket);
  }

  /** On a read-only disk it stays; whoever reads it sees that what it names is gone. */
  #removeState(): void {
    try {
      removeState(this.#path);
    } catch (error) {
      if (!isReadOnlyDisk(error)) throw error;
    }
  }

  #keeps(state: HandoverState, mounts: readonly LivingMount[]): boolean {
    return state.bootId === bootId() &&
      (this.#manager.storesDescriptors || holderLives(state)) &&
      isSameSocket(state.socket, this.#socket) && isHeld(state, mounts);
  }

  /** The holder that lives, whatever release wrote the state. */
  #holder(): HandoverState["holder"] {
    const state = readHolder(this.#path);
    return state !== null && state.bootId === bootId() && holderLives(state)
      ? state.holder
      : null;
  }

  #end(holder: HandoverState["holder"]): void {
    if (holder === null) return;
    if (this.#watch?.pid === holder.pid) {
      this.#watch.stop();
      this.#watch = null;
    }
    endProcess(holder.pid);
  }

  /** The state, or null if there is none or it cannot be read. */
  #stateIfAny(): HandoverState | null {
    try {
      return readState(this.#path);
    } catch (error) {
      if (error instanceof HandoverStateError) return null;
      throw error;
    }
  }
}

/** Of whatever tells them, those two. */
function named(
  { generation, highest }: NonNullable<HandoverState["slots"]>,
): HandoverState["slots"] {
  return { generation, highest };
}

/** Whether a state names mounts, and they are still those. */
function isHeld(state: HandoverState, mounts: readonly LivingMount[]): boolean {
  return mounts.every(({ name, mountpoint }) =>
    state.mounts.some((kept) =>
      kept.name === name && kept.device === mountDevice(mountpoint)
    )
  );
}

function holderLives({ holder }: Pick<HandoverState, "holder">): boolean {
  return holder !== null && processStart(holder.pid) === holder.started;
}
