/// <reference lib="deno.worker" />
import type { Adopted } from "./messages.ts";

/**
 * The thread's own end: called once, by the Worker's module, before it waits for anything.
 * @param answer is called with each message.
 * @returns sends a message. What is sent before anything came waits for that: until then it is not known where to.
 */
export function answerThread<To, From>(
  answer: (message: To) => void,
): (message: From, transfer?: Transferable[]) => void {
  const scope = self as unknown as DedicatedWorkerGlobalScope;
  let port: Pick<MessagePort, "postMessage"> | null = null;
  const early: [From, Transferable[]][] = [];
  const speakBy = (known: Pick<MessagePort, "postMessage">) => {
    port = known;
    for (const [message, transfer] of early.splice(0)) {
      known.postMessage(message, transfer);
    }
  };
  scope.onmessage = ({ data }: MessageEvent<To | Adopted>) => {
    if (!isAdopted(data)) {
      if (port === null) speakBy(scope);
      return answer(data);
    }
    const { threadPort } = data;
    speakBy(threadPort ?? scope);
    if (threadPort === null) return;
    threadPort.onmessage = ({ data }: MessageEvent<To>) => answer(data);
  };
  return (message, transfer = []) => {
    if (port === null) early.push([message, transfer]);
    else port.postMessage(message, transfer);
  };
}

function isAdopted(message: unknown): message is Adopted {
  return typeof message === "object" && message !== null &&
    "threadPort" in message;
}
