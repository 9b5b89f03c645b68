/** What a caller can tell apart; the gRPC service has one status code for each. */
export type SnapshotErrorKind =
  | "not-found"
  | "already-exists"
  | "failed-precondition"
  | "invalid-argument"
  /** A layer cannot be served at the moment: trying again may help. */
  | "unavailable"
  /** The caller gave up. */
  | "cancelled";

/** A request that cannot be done, and why. */
export class SnapshotError extends Error {
  static {
    this.prototype.name = "SnapshotError";
  }
  /** What a caller can tell apart. */
  readonly kind: SnapshotErrorKind;
  /** Key or name of the snapshot in question. */
  readonly snapshot: string;

  /** The message stands alone. @param snapshot key or name of the snapshot in question. */
  constructor(
    kind: SnapshotErrorKind,
    snapshot: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.snapshot = snapshot;
  }
}

/** A root folder, socket or state database this daemon cannot work with. */
export class SnapshotterSetupError extends Error {
  static {
    this.prototype.name = "SnapshotterSetupError";
  }
  /** What is in the way. */
  readonly path: string;

  /** The message begins with the path. @param path what is in the way. */
  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.path = path;
  }
}
