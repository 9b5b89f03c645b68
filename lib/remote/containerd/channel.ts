import {
  create,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  type CallOptions as GrpcCallOptions,
  Client as GrpcClient,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { methodDefinition } from "./definition.ts";
import { ContainerdError, rpcCodeName } from "../containerd_words/mod.ts";

/** How long an ordinary call may take before it fails with `DEADLINE_EXCEEDED`. */
const DEFAULT_TIMEOUT_MS = 60_000;
/** containerd's own limit for one message. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Options of a single call. */
export interface CallOptions {
  /** Ends the call early; it fails with `CANCELLED`. */
  readonly signal?: AbortSignal | undefined;
  /** Default: one minute for single answers, unlimited for streams. `null`: unlimited. */
  readonly timeoutMs?: number | null | undefined;
  /** The lease that resources made by this call belong to. */
  readonly lease?: string | undefined;
}

/**
 * Bytes that containerd may send before we have taken them, of a call and of all. With HTTP/2's 64 KiB it
 * stops and waits for us 16 times in each message of a blob.
 */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** Where a channel leads and what every call on it carries. */
export interface ChannelOptions {
  /** Path of the Unix socket. */
  readonly socketPath: string;
  /** containerd namespace of every call; none for services that have no namespaces. */
  readonly namespace?: string | undefined;
}

/** A two-way stream: what is sent and what comes back are read and written separately. */
export interface DuplexCall<I, O> extends AsyncIterable<O> {
  /** Resolves when the transport can take more. */
  send(request: I): Promise<void>;
  /** Ends the request side. */
  end(): void;
  /** Drops the call. */
  cancel(): void;
}

/**
 * One gRPC connection over a Unix socket, with promises and async iterables for protobuf-es methods.
 *
 * Owns the socket: dispose of it when done. Every failure is a {@linkcode ContainerdError}.
 */
export class RpcChannel implements Disposable {
  readonly #client: GrpcClient;
  readonly #options: ChannelOptions;

  /** Connects at the first call. */
  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#client = new GrpcClient(
      `unix:${options.socketPath}`,
      credentials.createInsecure(),
      {
        "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
        "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
        "grpc-node.flow_control_window": WINDOW_BYTES,
        "grpc.default_authority": "localhost",
        "grpc.enable_http_proxy": 0,
        // Reconnects to a restarted daemon soon, not after a backoff of two minutes.
        "grpc.max_reconnect_backoff_ms": 2_000,
        // One connection per channel, so that disposing of it really closes it.
        "grpc.use_local_subchannel_pool": 1,
      },
    );
  }

  /** Path of the socket. */
  get socketPath(): string {
    return this.#options.socketPath;
  }

  /** containerd namespace of every call; none for services that have none. */
  get namespace(): string | undefined {
    return this.#options.namespace;
  }

  /** One request, one response. */
  unary<M extends DescMethodUnary>(
    method: M,
    request: MessageInitShape<M["input"]>,
    options: CallOptions = {},
  ): Promise<MessageShape<M["output"]>> {
    const definition = methodDefinition(method);
    const { promise, resolve, reject } = Promise.withResolvers<
      MessageShape<M["output"]>
    >();
    if (options.signal?.aborted) {
      return Promise.reject(this.#cancelled(definition.path, options.signal));
    }
    const call = this.#client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      create(method.input, request) as Message,
      this.#metadata(options),
      this.#callOptions(options, DEFAULT_TIMEOUT_MS),
      (error, answer) => {
        options.signal?.removeEventListener("abort", abort);
        if (error) reject(this.#error(definition.path, error));
        else resolve(answer as MessageShape<M["output"]>);
      },
    );
    const abort = () => call.cancel();
    options.signal?.addEventListener("abort", abort, { once: true });
    return promise;
  }

  /** One request, many responses. Leaving the loop early cancels the call. */
  async *serverStream<M extends DescMethodServerStreaming>(
    method: M,
    request: MessageInitShape<M["input"]>,
    options: CallOptions = {},
  ): AsyncGenerator<MessageShape<M["output"]>, void, undefined> {
    const definition = methodDefinition(method);
    if (options.signal?.aborted) {
      throw this.#cancelled(definition.path, options.signal);
    }
    const call = this.#client.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      create(method.input, request) as Message,
      this.#metadata(options),
      this.#callOptions(options, null),
    );
    const abort = () => call.cancel();
    options.signal?.addEventListener("abort", abort, { once: true });
    try {
      for await (const answer of call) {
        yield answer as MessageShape<M["output"]>;
      }
    } catch (error) {
      throw this.#error(definition.path, error);
    } finally {
      options.signal?.removeEventListener("abort", abort);
      call.cancel();
    }
  }

  /** Requests and responses in both directions. */
  bidi<M extends DescMethodBiDiStreaming>(
    method: M,
    options: CallOptions = {},
  ): DuplexCall<
    MessageInitShape<M["input"]>,
    MessageShape<M["output"]>
  > {
    const definition = methodDefinition(method);
    const call: ClientDuplexStream<Message, Message> = this.#client
      .makeBidiStreamRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        this.#metadata(options),
        this.#callOptions(options, null),
      );
    const abort = () => call.cancel();
    if (options.signal?.aborted) abort();
    options.signal?.addEventListener("abort", abort, { once: true });
    const answers = async function* (this: RpcChannel) {
      try {
        for await (const answer of call) {
          yield answer as MessageShape<M["output"]>;
        }
      } catch (error) {
        throw this.#error(definition.path, error);
      } finally {
        options.signal?.removeEventListener("abort", abort);
      }
    };
    return {
      send: (request) =>
        new Promise((resolve, reject) => {
          call.write(
            create(method.input, request) as Message,
            (error?: Error | null) =>
              error ? reject(this.#error(definition.path, error)) : resolve(),
          );
        }),
      end: () => call.end(),
      cancel: () => call.cancel(),
      [Symbol.asyncIterator]: () => answers.call(this),
    };
  }

  /** Closes the connection; running calls fail with `CANCELLED`. */
  close(): void {
    this.#client.close();
  }

  /** Same as {@linkcode RpcChannel.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #metadata(options: CallOptions): Metadata {
    const metadata = new Metadata();
    const { namespace } = this.#options;
    if (namespace !== undefined) {
      metadata.set("containerd-namespace", namespace);
    }
    if (options.lease !== undefined) {
      metadata.set("containerd-lease", options.lease);
    }
    return metadata;
  }

  #callOptions(options: CallOptions, fallback: number | null): GrpcCallOptions {
    const timeoutMs = options.timeoutMs === undefined
      ? fallback
      : options.timeoutMs;
    return timeoutMs === null ? {} : { deadline: Date.now() + timeoutMs };
  }

  #cancelled(method: string, signal: AbortSignal): ContainerdError {
    return new ContainerdError({
      code: "CANCELLED",
      details: "the caller gave up before the call started",
      method,
      socketPath: this.#options.socketPath,
    }, { cause: signal.reason });
  }

  #error(method: string, error: unknown): ContainerdError {
    if (error instanceof ContainerdError) return error;
    const { code, details, message } = error as Partial<ServiceError>;
    return new ContainerdError({
      code: typeof code === "number" ? rpcCodeName(code) : "UNKNOWN",
      // grpc-js ends "No connection established" with an empty note.
      details: (details ?? message ?? String(error))
        .replace(/\s*Resolution note:\s*$/, ""),
      method,
      socketPath: this.#options.socketPath,
    }, { cause: error });
  }
}
