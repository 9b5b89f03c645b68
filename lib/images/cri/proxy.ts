import type { Buffer } from "node:buffer";
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { logger } from "../../telemetry/mod.ts";
import type { PullEnd } from "./credentials.ts";
import { type PullRequest, readPullRequest } from "./pull_request.ts";

const log = logger("cri");
/** As the kubelet's own limit: a list of many images is long. */
const MAX_MESSAGE_BYTES = 16 * 2 ** 20;
/** The API's versions: 1.6 of containerd has both. */
const SERVICES = ["runtime.v1.ImageService", "runtime.v1alpha2.ImageService"];
const METHODS = [
  ...["ListImages", "ImageStatus", "PullImage", "RemoveImage", "ImageFsInfo"],
];

/** One gRPC service, for a server to add. */
export interface CriProxy extends Disposable {
  /** Each version of the API, with what answers it. */
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
  }[];
}

/** Messages pass as they are. */
const asIs = (bytes: Buffer): Buffer => bytes;

function methodOf(
  service: string,
  name: string,
): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/${service}/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

/**
 * The kubelet's image service, answered by the one behind a socket.
 * @param socketPath of that service: containerd's own.
 * @param onPull called with each PullImage before it is passed on, as containerd asks for the layers while it runs; what
 * it returns is told how the pull ended.
 */
export function criProxy(
  socketPath: string,
  onPull: (request: PullRequest) => PullEnd,
): CriProxy {
  const path = socketPath.replace(/^unix:\/\//, "");
  const client = new Client(`unix:${path}`, credentials.createInsecure(), {
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.default_authority": "localhost",
    "grpc.enable_http_proxy": 0,
    "grpc.max_reconnect_backoff_ms": 2_000,
    "grpc.use_local_subchannel_pool": 1,
  });
  const pass = (method: MethodDefinition<Buffer, Buffer>, isPull: boolean) =>
  (
    call: ServerUnaryCall<Buffer, Buffer>,
    reply: sendUnaryData<Buffer>,
  ): void => {
    const ended = isPull ? noted(call.request, onPull) : null;
    const onward = client.makeUnaryRequest(
      method.path,
      asIs,
      asIs,
      call.request,
      passedOn(call.metadata),
      { deadline: call.getDeadline() },
      (error, answer) => {
        ended?.(error === null ? "succeeded" : "failed");
        if (error === null) return reply(null, answer);
        const { code, details, metadata } = error;
        reply({ code, details: told(code, details, path), metadata });
      },
    );
    call.on("cancelled", () => onward.cancel());
  };
  return {
    services: SERVICES.map((service) => {
      const methods = METHODS.map((name) => methodOf(service, name));
      return {
        definition: Object.fromEntries(
          methods.map((method, at) => [METHODS[at]!, method]),
        ),
        implementation: Object.fromEntries(
          methods.map((method, at) => [
            METHODS[at]!,
            pass(method, METHODS[at] === "PullImage"),
          ]),
        ),
      };
    }),
    [Symbol.dispose]: () => client.close(),
  };
}

/** The caller's own metadata; each connection has its own of the transport. */
function passedOn(metadata: Metadata): Metadata {
  const passed = new Metadata();
  for (const key of Object.keys(metadata.getMap())) {
    if (/^(:|grpc-|content-|accept-encoding$|te$|user-agent$)/.test(key)) {
      continue;
    }
    for (const value of metadata.get(key)) passed.add(key, value);
  }
  return passed;
}

/** What cannot be read here is for the service behind to refuse. */
function noted(
  request: Uint8Array,
  onPull: (request: PullRequest) => PullEnd,
): PullEnd | null {
  try {
    return onPull(readPullRequest(request));
  } catch (error) {
    // No more of it: its text may hold a part of the request.
    log.warn("a pull could not be read, its login is not known", {
      error: error instanceof Error ? error.name : "unknown",
    });
    return null;
  }
}

function told(code: status, details: string, path: string): string {
  return code === status.UNAVAILABLE
    ? `the image service behind ${path} ([cri_keychain] image_service_path): ${details}`
    : details;
}
