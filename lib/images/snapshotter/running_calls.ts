import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

/** Counts the calls of a gRPC server that have no answer yet. */
export class RunningCalls {
  #count = 0;
  readonly #waiting = new Set<() => void>();

  /** To be given to the server. */
  readonly interceptor: ServerInterceptor = (_method, call) => {
    let isOver = false;
    this.#count++;
    const over = () => {
      if (isOver) return;
      isOver = true;
      if (--this.#count > 0) return;
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    };
    return new ServerInterceptingCall(call, {
      start: (next) => next({ onCancel: over }),
      sendStatus(status, next) {
        next(status);
        over();
      },
    });
  };

  /** Resolves as soon as no call runs. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add(resolve));
  }
}
