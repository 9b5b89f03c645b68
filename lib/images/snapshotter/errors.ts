/** The kinds of error that callers tell apart. Each has a gRPC status code. */
export type SnapshotErrorKind =
  | "not-found"
  | "already-exists"
  | "failed-precondition"
  | "invalid-argument"
  /** A layer cannot be served at the moment: a retry may help. */
  | "unavailable"
  /** The caller aborted. */
  | "cancelled";

/** A request failed. */
export class SnapshotError extends Error {
  static {
    this.prototype.name = "SnapshotError";
  }
  /** The kind of error. */
  readonly kind: SnapshotErrorKind;
  /** The key or name of the snapshot. */
  readonly snapshot: string;

  /** The message must make sense by itself. @param snapshot the key or name of the snapshot. */
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

/** A root folder, socket or state database cannot be used. */
export class SnapshotterSetupError extends Error {
  static {
    this.prototype.name = "SnapshotterSetupError";
  }
  /** The path that cannot be used. */
  readonly path: string;

  /** The message begins with the path. @param path the path that cannot be used. */
  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.path = path;
  }
}

/** What containerd is told of a Prepare for a layer that is there: it need not download anything. */
export function targetExists(target: string): SnapshotError {
  return new SnapshotError(
    "already-exists",
    target,
    `target snapshot ${target} already exists`,
  );
}

/** Refuses an empty key or name. @throws SnapshotError `invalid-argument`. */
export function required(value: string, what: "key" | "name"): void {
  if (value === "") {
    throw new SnapshotError(
      "invalid-argument",
      value,
      `a snapshot needs a ${what}`,
    );
  }
}
