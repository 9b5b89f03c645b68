/** How a call failed, with gRPC's published names. */
export type RpcCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

/** A call to containerd (or to another gRPC service on a Unix socket) failed. */
export class ContainerdError extends Error {
  static {
    this.prototype.name = "ContainerdError";
  }
  /** The code's name. */
  readonly code: RpcCode;
  /** What the server said. */
  readonly details: string;
  /** The method's path, such as `/containerd.services.content.v1.Content/Info`. */
  readonly method: string;

  /**
   * The message names method, socket and code.
   * @param facts code, server's words, and where they come from.
   */
  constructor(
    facts: {
      readonly code: RpcCode;
      readonly details: string;
      readonly method: string;
      readonly socketPath: string;
    },
    options?: ErrorOptions,
  ) {
    super(
      `${facts.method} on ${facts.socketPath}: ${facts.code}: ${facts.details}`,
      options,
    );
    this.code = facts.code;
    this.details = facts.details;
    this.method = facts.method;
  }
}

/** Whether an error is a {@linkcode ContainerdError} with one of these codes. */
export function isRpcError(
  error: unknown,
  ...codes: readonly RpcCode[]
): error is ContainerdError {
  return error instanceof ContainerdError &&
    (codes.length === 0 || codes.includes(error.code));
}

/** By their numbers; 0 is success. */
const NAMES: readonly (RpcCode | null)[] = [
  null,
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The published name of a numeric code; numbers from the future count as `UNKNOWN`. */
export function rpcCodeName(code: number): RpcCode {
  return NAMES[code] ?? "UNKNOWN";
}
