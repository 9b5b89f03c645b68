import { OsError, sendDescriptors, setCloseOnExec } from "../os/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("handover");
/** First descriptor a service manager passes (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;
const MAX_LISTEN_FDS = 1024;

/** Prefix of our descriptors' names in the service manager's store. */
export const STORE_PREFIX = "soci-deno-";

/** A descriptor the service manager gave us at start. */
export interface GivenDescriptor {
  /** `FileDescriptorName=` of the socket unit, or the name it was stored by; empty when unnamed. */
  readonly name: string;
  /** Close-on-exec; its user owns it. */
  readonly fd: number;
}

/** What the environment says of the service manager. */
export interface ServiceEnvironment {
  /** `NOTIFY_SOCKET`: where the daemon reports that it is ready or stops. */
  readonly notifySocket?: string | undefined;
  /** `LISTEN_PID`: the process the descriptors are for. */
  readonly listenPid?: string | undefined;
  /** `LISTEN_FDS`: how many descriptors there are, from 3 on. */
  readonly listenFds?: string | undefined;
  /** `LISTEN_FDNAMES`: their names, with colons between. */
  readonly listenNames?: string | undefined;
  /** `FDSTORE`: how many descriptors it keeps for the next run. */
  readonly fdStore?: string | undefined;
  /** `WATCHDOG_USEC`: it ends a process that is silent for so long, µs. */
  readonly watchdogUs?: string | undefined;
  /** `WATCHDOG_PID`: the process that is meant; any where it is missing. */
  readonly watchdogPid?: string | undefined;
}

/**
 * systemd, or another service manager with its protocol (sd_notify(3), sd_listen_fds(3)). It is notified
 * when the daemon is ready and when it stops. It keeps descriptors for the next run and passes them, and
 * listening sockets, at start. Without a service manager every method does nothing.
 */
export class ServiceManager {
  readonly #socket: string | null;
  /** How long this process may be silent; null: as long as it likes. */
  readonly #watchdogMs: number | null;
  /** Descriptors given at start, close-on-exec from now on. Its user owns it. */
  readonly given: readonly GivenDescriptor[];
  /** Whether it said that it keeps descriptors (systemd 254 and later do). */
  readonly storesDescriptors: boolean;

  /** Reads what was given; descriptors that are not ours stay alone. */
  constructor(environment: ServiceEnvironment = {}) {
    this.#socket = environment.notifySocket || null;
    this.storesDescriptors = this.#socket !== null &&
      Number(environment.fdStore) >= 2;
    this.given = givenDescriptors(environment);
    this.#watchdogMs = this.#socket === null ? null : watchdogMs(environment);
  }

  /**
   * From this process's environment. Removes the variables, because they are not meant for our children.
   */
  static fromEnvironment(): ServiceManager {
    const take = (name: string) => {
      const value = Deno.env.get(name);
      if (value !== undefined) Deno.env.delete(name);
      return value;
    };
    return new ServiceManager({
      notifySocket: take("NOTIFY_SOCKET"),
      listenPid: take("LISTEN_PID"),
      listenFds: take("LISTEN_FDS"),
      listenNames: take("LISTEN_FDNAMES"),
      fdStore: take("FDSTORE"),
      watchdogUs: take("WATCHDOG_USEC"),
      watchdogPid: take("WATCHDOG_PID"),
    });
  }

  /** Listening sockets it opened for us. */
  get sockets(): number[] {
    return this.given.filter(({ name }) => !name.startsWith(STORE_PREFIX))
      .map(({ fd }) => fd);
  }

  /** Whether there is a service manager. */
  get present(): boolean {
    return this.#socket !== null;
  }

  /** Sends a message, such as `READY=1`. A manager that does not listen is not an error. */
  notify(message: string, fds: readonly number[] = []): void {
    if (this.#socket === null) return;
    try {
      sendDescriptors(this.#socket, message, fds);
    } catch (error) {
      if (!(error instanceof OsError || error instanceof RangeError)) {
        throw error;
      }
      log.warn("the service manager cannot be told", {
        message: message.split("\n")[0],
        error: error.message,
      });
    }
  }

  /**
   * Says that this process is alive, twice as often as it must (sd_watchdog_enabled(3)), until it is disposed: from
   * this thread, so that one which hangs falls silent. Nothing where nobody wants to hear it.
   */
  watch(): Disposable {
    const timer = this.#watchdogMs === null
      ? undefined
      : setInterval(() => this.notify("WATCHDOG=1"), this.#watchdogMs / 2);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  /** Makes it keep a copy of a descriptor until `forget` is called or the descriptor hangs up. */
  store(name: string, fd: number): void {
    this.notify(`FDSTORE=1\nFDNAME=${name}`, [fd]);
  }

  /** Makes it close the descriptors that it keeps by that name. */
  forget(name: string): void {
    this.notify(`FDSTOREREMOVE=1\nFDNAME=${name}`);
  }
}

function watchdogMs(
  { watchdogUs, watchdogPid }: ServiceEnvironment,
): number | null {
  if (watchdogPid && Number(watchdogPid) !== Deno.pid) return null;
  const ms = Number(watchdogUs) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}

function givenDescriptors(
  { listenPid, listenFds, listenNames }: ServiceEnvironment,
): GivenDescriptor[] {
  const count = Number(listenFds ?? 0);
  if (
    Number(listenPid) !== Deno.pid || !Number.isInteger(count) ||
    count < 0 || count > MAX_LISTEN_FDS
  ) return []; // meant for another process
  const names = listenNames === undefined ? [] : listenNames.split(":");
  return Array.from({ length: count }, (_, i) => {
    const fd = LISTEN_FDS_START + i;
    setCloseOnExec(fd);
    return { name: names[i] ?? "", fd };
  });
}
