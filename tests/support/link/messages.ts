/** The test's message to the Worker at its start. */
export interface LinkOptions {
  /** `host:port` that the link leads to. */
  readonly target: string;
  /** Payload rate to the client, shared by all connections. */
  readonly bitsPerSecond: number;
  /** Half of the added round trip: each direction is delayed by this much. */
  readonly delayMs: number;
}

/** The Worker's message when it listens. */
export interface LinkReady {
  readonly port: number;
}

/** Offset of each counter in the shared BigInt64Array. */
export const COUNTER = { toClient: 0, toTarget: 1, connections: 2 } as const;
