/** The socket on which the daemon serves, where no service manager made it. @module */
import {
  type MountKeeper,
  removeSocket,
  type SocketName,
} from "../lib/host/handover/mod.ts";
import { closeFd } from "../lib/host/os/mod.ts";
import { listenPrivately } from "../lib/images/snapshotter/mod.ts";

/** What `OwnSocket.open` needs. */
export interface OwnSocketOptions {
  /** Has the last daemon's socket, and keeps this one for the next. */
  readonly keeper: MountKeeper;
  /** Its path. */
  readonly address: string;
  /** `replace`: whoever listens there loses the path. */
  readonly whenTaken: "fail" | "replace";
}

/**
 * A listening socket that the keeper has, too: calls that come while no daemon runs wait there for the next one.
 * Disposal closes it here; its path goes with it, unless the keeper has it still.
 */
export class OwnSocket implements AsyncDisposable {
  readonly #keeper: MountKeeper;
  readonly #name: SocketName | null;
  #outlives = false;

  private constructor(
    { keeper, address }: OwnSocketOptions,
    /** The listening socket. */
    readonly fd: number,
  ) {
    this.#keeper = keeper;
    this.#name = keeper.listensOn({ address, fd });
  }

  /**
   * Takes the one that the last daemon left, or makes one.
   * @throws SnapshotterSetupError when another process listens there.
   */
  static async open(options: OwnSocketOptions): Promise<OwnSocket> {
    const { keeper, address, whenTaken } = options;
    const kept = whenTaken === "fail" ? keeper.takeSocket(address) : null;
    return new OwnSocket(
      options,
      kept ?? await listenPrivately(address, whenTaken),
    );
  }

  /** Another daemon will come, so calls may wait for it, also where no mount is left. */
  outlive(): void {
    this.#outlives = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#outlives) this.#keeper.keepSocket();
    if (this.#name !== null && !this.#keeper.keepsSocket) {
      removeSocket(this.#name);
    }
    await this.#keeper[Symbol.asyncDispose](); // or it would give a closed descriptor to another holder
    closeFd(this.fd);
  }
}
