/// <reference lib="deno.worker" />
import type { Adopted } from "./messages.ts";

/**
 * The thread's own end: called once, by the Worker's module, before it waits for anything.
 * @param answer is called with each message.
 * @returns sends a message.
 */
export function answerThread<To, From>(
  answer: (message: To) => void,
): (message: From, transfer?: Transferable[]) => void {
  const scope = self as unknown as DedicatedWorkerGlobalScope;
  let port: Pick<MessagePort, "postMessage"> = scope;
  scope.onmessage = ({ data }: MessageEvent<To | Adopted>) => {
    if (!isAdopted(data)) return answer(data);
    const { threadPort } = data;
    port = threadPort;
    threadPort.onmessage = ({ data }: MessageEvent<To>) => answer(data);
  };
  return (message, transfer = []) => port.postMessage(message, transfer);
}

function isAdopted(message: unknown): message is Adopted {
  return typeof message === "object" && message !== null &&
    "threadPort" in message;
}
