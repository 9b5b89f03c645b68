/** Messages between code that wants a thread and the isolate that starts it. @module */

/** To the isolate that starts threads. */
export type ToStarter =
  | {
    readonly kind: "start";
    readonly id: number;
    readonly name: string;
    readonly given: string | null;
    /** The thread's end of the channel. */
    readonly port: MessagePort;
  }
  | { readonly kind: "stop"; readonly id: number };

/** A thread could not be started, or threw where nobody caught it; or it was stopped, as was asked for. */
export type FromStarter =
  | { readonly kind: "broken"; readonly id: number; readonly why: string }
  | { readonly kind: "stopped"; readonly id: number };

/** The first message to a thread: the port by which it is spoken to; null: it is spoken to as any Worker. */
export interface Adopted {
  readonly threadPort: MessagePort | null;
}
