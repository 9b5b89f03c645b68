import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { createServer, type Socket } from "node:net";
import { setImmediate } from "node:timers";
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { RunningCalls } from "./running_calls.ts";
import { duplicate } from "../../host/os/mod.ts";
import {
  serviceDefinition,
  snapshotsApi,
} from "../../remote/containerd/mod.ts";
import { logger, plainPermissions } from "../../telemetry/mod.ts";
import { SnapshotError, type SnapshotErrorKind } from "./errors.ts";
import type { Snapshotter } from "./snapshotter.ts";
import {
  type Labels,
  type MountSpec,
  type SnapshotInfo,
  type SnapshotKind,
  TARGET_LABEL,
} from "./types.ts";

const log = logger("snapshotter");

/** Says in which of containerd's namespaces a caller works. */
const NAMESPACE_HEADER = "containerd-namespace";
/** How long running calls may take when the service stops, ms. */
const SHUTDOWN_GRACE_MS = 5_000;
/** So long a connection without a call stays, for its last answer to go out, ms. */
const LAST_ANSWER_MS = 100;
/** containerd's own limit for one message. */
const MAX_MESSAGE_BYTES = 16 * 2 ** 20;

const CODES: Readonly<Record<SnapshotErrorKind, status>> = {
  "not-found": status.NOT_FOUND,
  "already-exists": status.ALREADY_EXISTS,
  "failed-precondition": status.FAILED_PRECONDITION,
  "invalid-argument": status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
  cancelled: status.CANCELLED,
};

const KINDS: Readonly<Record<SnapshotKind, snapshotsApi.Kind>> = {
  active: snapshotsApi.Kind.ACTIVE,
  view: snapshotsApi.Kind.VIEW,
  committed: snapshotsApi.Kind.COMMITTED,
};

/** Where to serve. */
export interface ServeOptions {
  /** A Unix socket that listens. It stays the caller's: closing the service neither closes nor removes it. */
  readonly descriptor: number;
  /** Other services on the same socket. */
  readonly services?: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
  }[];
  /** Called when a snapshot is to be prepared; what it gives is disposed of when it is, or will not be. */
  readonly onPrepare?: () => Disposable;
  /** Called when a container's snapshot was prepared: one that is no layer of an image. */
  readonly onPrepared?: (snapshot: {
    readonly parent: string;
    readonly labels: Labels;
  }) => void;
}

/** How a service ends. */
export interface CloseOptions {
  /** How long running calls may take, ms. Default 5 000. */
  readonly graceMs?: number;
}

/** A snapshotter that answers on a socket. */
export interface SnapshotService extends AsyncDisposable {
  /** Lets running calls finish, then stops. */
  close(options?: CloseOptions): Promise<void>;
}

/** Who asked, and whether they still wait. */
interface CallContext {
  readonly namespace: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Serves containerd's snapshot service on a Unix socket.
 *
 * @param snapshotter stays the caller's. Calls are accepted at once and wait for it.
 */
export async function serveOverGrpc(
  snapshotter: Snapshotter | Promise<Snapshotter>,
  options: ServeOptions,
): Promise<SnapshotService> {
  const calls = new RunningCalls();
  const server = new Server({
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    interceptors: [calls.interceptor],
  });
  for (const { definition, implementation } of options.services ?? []) {
    server.addService(definition, implementation);
  }
  server.addService(
    serviceDefinition(snapshotsApi.Snapshots),
    implementation(startedOrUnavailable(snapshotter), options),
  );
  return await serveOn(server, calls, options.descriptor);
}

/** When the start fails, the calls that waited for it may be retried: another daemon may start. */
function startedOrUnavailable(
  snapshotter: Snapshotter | Promise<Snapshotter>,
): Promise<Snapshotter> {
  const started = Promise.resolve(snapshotter).catch((cause) => {
    throw new SnapshotError("unavailable", "", "the daemon did not start", {
      cause,
    });
  });
  started.catch(() => {}); // each call gets the error
  return started;
}

/** grpc-js listens on paths only, but it accepts connections from another listener. */
async function serveOn(
  server: Server,
  calls: RunningCalls,
  descriptor: number,
): Promise<SnapshotService> {
  const injector = server.createConnectionInjector(
    ServerCredentials.createInsecure(),
  );
  const connections = new Set<Socket>();
  const listener = createServer((socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
    injector.injectConnection(socket);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen({ fd: duplicate(descriptor) }, resolve); // it closes its own
  });
  // Lets running calls finish within the grace time, then cuts the rest, such as those that wait for a slow registry.
  const close = async ({ graceMs = SHUTDOWN_GRACE_MS }: CloseOptions = {}) => {
    const quiet = Promise.withResolvers<void>();
    listener.close(() => quiet.resolve());
    // Every connection is closed behind its calls; `tryShutdown` says on Deno that it is done while they run.
    server.tryShutdown(() => {});
    calls.none().then(() => setTimeout(quiet.resolve, LAST_ANSWER_MS));
    const grace = setTimeout(quiet.resolve, graceMs);
    await quiet.promise;
    clearTimeout(grace);
    for (const connection of connections) connection.destroy();
    injector.destroy();
  };
  let closing: Promise<void> | undefined;
  const once = (options?: CloseOptions) => closing ??= close(options);
  return { close: once, [Symbol.asyncDispose]: () => once() };
}

function implementation(
  ready: Promise<Snapshotter>,
  { onPrepare, onPrepared }: ServeOptions,
): UntypedServiceImplementation {
  const { method } = snapshotsApi.Snapshots;
  /** For calls that change something: what is answered would survive a power loss, also where it is an error. */
  const onDisk = async <T>(call: (to: Snapshotter) => T | Promise<T>) => {
    const snapshotter = await ready;
    try {
      return await call(snapshotter);
    } finally {
      await snapshotter.onDisk();
    }
  };
  return {
    prepare: unary(
      method.prepare,
      async ({ key, parent, labels }, { namespace, signal }) => {
        using _running = onPrepare?.();
        const mounts = await onDisk((to) =>
          to.prepare({ key, parent, labels, namespace, signal })
        );
        if (!labels[TARGET_LABEL]) onPrepared?.({ parent, labels });
        return { mounts: wireMounts(mounts) };
      },
    ),
    view: unary(
      method.view,
      async ({ key, parent, labels }, { namespace, signal }) => ({
        mounts: wireMounts(
          await onDisk((to) =>
            to.view({ key, parent, labels, namespace, signal })
          ),
        ),
      }),
    ),
    mounts: unary(method.mounts, async ({ key }) => ({
      mounts: wireMounts(await (await ready).mounts(key)),
    })),
    commit: unary(method.commit, async ({ name, key, labels }) => {
      await onDisk((to) => to.commit({ name, key, labels }));
      return {};
    }),
    remove: unary(method.remove, async ({ key }) => {
      (await ready).remove(key);
      return {};
    }),
    stat: unary(
      method.stat,
      async ({ key }) => ({ info: wireInfo((await ready).stat(key)) }),
    ),
    update: unary(method.update, async ({ info, updateMask }) => ({
      info: wireInfo(
        await onDisk((to) =>
          to.update(
            info?.name ?? "",
            info?.labels ?? {},
            updateMask?.paths ?? [],
          )
        ),
      ),
    })),
    usage: unary(method.usage, async ({ key }) => {
      const { sizeBytes, inodes } = await (await ready).usage(key);
      return { size: BigInt(sizeBytes), inodes: BigInt(inodes) };
    }),
    cleanup: unary(method.cleanup, async () => {
      await (await ready).cleanup();
      return {};
    }),
    list: async (
      call: ServerWritableStream<snapshotsApi.ListSnapshotsRequest, unknown>,
    ) => {
      try {
        const namespace = call.metadata.get(NAMESPACE_HEADER)[0]?.toString();
        const { filters } = call.request;
        for (const some of (await ready).listInParts(filters, namespace)) {
          call.write(create(snapshotsApi.ListSnapshotsResponseSchema, {
            info: some.map(wireInfo),
          }));
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        call.end();
      } catch (error) {
        call.emit("error", wireError(call.getPath(), error));
      }
    },
  };
}

/** A grpc-js handler that sends an answer, or an error as its gRPC status. */
function unary<M extends DescMethodUnary>(
  { output }: M,
  answer: (
    request: MessageShape<M["input"]>,
    context: CallContext,
  ) => MessageInitShape<M["output"]> | Promise<MessageInitShape<M["output"]>>,
) {
  return async (
    call: ServerUnaryCall<MessageShape<M["input"]>, unknown>,
    reply: sendUnaryData<unknown>,
  ): Promise<void> => {
    const abort = new AbortController();
    call.on("cancelled", () => abort.abort());
    const namespace = call.metadata.get(NAMESPACE_HEADER)[0];
    try {
      const init = await answer(call.request, {
        namespace: namespace === undefined ? undefined : String(namespace),
        signal: abort.signal,
      });
      reply(null, create<DescMessage>(output, init));
    } catch (error) {
      reply(wireError(call.getPath(), error));
    }
  };
}

function wireError(
  method: string,
  error: unknown,
): { code: status; details: string } {
  if (error instanceof SnapshotError) {
    return { code: CODES[error.kind], details: error.message };
  }
  log.error("snapshot request failed", { method, error });
  return {
    code: status.UNKNOWN,
    details: plainPermissions(
      error instanceof Error ? error.message : String(error),
    ),
  };
}

function wireMounts(mounts: readonly MountSpec[]) {
  return mounts.map(({ type, source, options }) => ({
    type,
    source,
    options: [...options],
  }));
}

function wireInfo(
  info: SnapshotInfo,
): MessageInitShape<typeof snapshotsApi.InfoSchema> {
  return {
    name: info.name,
    parent: info.parent,
    kind: KINDS[info.kind],
    createdAt: timestampOf(info.createdAt),
    updatedAt: timestampOf(info.updatedAt),
    labels: { ...info.labels },
  };
}

function timestampOf({ ms, ns }: SnapshotInfo["createdAt"]) {
  return {
    seconds: BigInt(Math.floor(ms / 1000)),
    nanos: ms % 1000 * 1_000_000 + ns,
  };
}
