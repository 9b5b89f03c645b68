/** Messages between code that wants a thread and the isolate that starts it. @module */

/** To the isolate that starts threads. */
export type ToStarter =
  | {
    readonly kind: "start";
    readonly id: number;
    readonly name: string;
    /** The thread's end of the channel. */
    readonly port: MessagePort;
  }
  | { readonly kind: "stop"; readonly id: number };

/** A thread could not be started, or threw where nobody caught it. */
export interface FromStarter {
  readonly id: number;
  readonly why: string;
}

/** The first message to a thread that is spoken to by a port. */
export interface Adopted {
  readonly threadPort: MessagePort;
}
