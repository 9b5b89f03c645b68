import { RpcChannel } from "../../../lib/remote/containerd/mod.ts";
import {
  ContainerState,
  ImageService,
  NamespaceMode,
  RuntimeService,
} from "../cri/gen/runtime/v1/api_pb.ts";
import type { CommandResult } from "./command.ts";
import type { Containerd } from "./containerd.ts";
import { pause } from "./service.ts";

/** A container in a sandbox of its own; disposing of it removes both. */
export interface CriContainer extends AsyncDisposable {
  readonly id: string;
  readonly sandboxId: string;
  /** Runs a program in it and waits for its end. */
  exec(...command: string[]): Promise<CommandResult>;
  /** Waits until the container itself ends. */
  ended(): Promise<CommandResult>;
  /** Stops and removes container and sandbox. */
  close(): Promise<void>;
}

/** What to run. */
export interface CriRunOptions {
  readonly image: string;
  /** Replaces the image's command. */
  readonly command?: readonly string[];
  /** `hostUsers: false`: the pod's IDs begin there on the host, 65 536 of them. */
  readonly hostIds?: number;
}

/** Speaks to containerd as Kubernetes' kubelet does. */
export class CriClient implements Disposable {
  readonly #channel: RpcChannel;
  readonly #folder: string;
  #runs = 0;

  constructor(containerd: Pick<Containerd, "address" | "folder">) {
    this.#channel = new RpcChannel({ socketPath: containerd.address });
    this.#folder = containerd.folder;
  }

  /** Pulls an image. Returns its reference by digest. */
  async pull(
    image: string,
    auth?: { username: string; password: string },
    /** Of the pod that it is for. */
    annotations: Record<string, string> = {},
  ): Promise<string> {
    const { imageRef } = await this.#channel.unary(
      ImageService.method.pullImage,
      {
        image: { image },
        ...(auth === undefined ? {} : { auth }),
        sandboxConfig: { annotations },
      },
      { timeoutMs: 120_000 },
    );
    return imageRef;
  }

  /** Removes an image. */
  async remove(image: string): Promise<void> {
    await this.#channel.unary(ImageService.method.removeImage, {
      image: { image },
    });
  }

  /** Starts a sandbox and one container of a pulled image in it. */
  async run(
    { image, command = [], hostIds }: CriRunOptions,
  ): Promise<CriContainer> {
    const name = `test-${this.#runs++}-${crypto.randomUUID().slice(0, 8)}`;
    const linux = hostIds === undefined
      ? {}
      : { securityContext: ownUsers(hostIds) };
    const sandboxConfig = {
      metadata: { name, uid: name, namespace: "tests", attempt: 0 },
      logDirectory: `${this.#folder}/logs/${name}`,
      linux,
    };
    const runtime = RuntimeService.method;
    const channel = this.#channel;
    const { podSandboxId } = await channel.unary(runtime.runPodSandbox, {
      config: sandboxConfig,
    });
    const close = async () => {
      await channel.unary(runtime.stopPodSandbox, { podSandboxId });
      await channel.unary(runtime.removePodSandbox, { podSandboxId });
    };
    try {
      const { containerId } = await channel.unary(runtime.createContainer, {
        podSandboxId,
        sandboxConfig,
        config: {
          metadata: { name, attempt: 0 },
          image: { image },
          command: [...command],
          logPath: "output",
          linux,
        },
      });
      await channel.unary(runtime.startContainer, { containerId });
      return {
        id: containerId,
        sandboxId: podSandboxId,
        exec: (...cmd) => this.#exec(containerId, cmd),
        ended: () =>
          this.#ended(containerId, `${sandboxConfig.logDirectory}/output`),
        close,
        [Symbol.asyncDispose]: close,
      };
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.#channel.close();
  }

  async #exec(containerId: string, cmd: string[]): Promise<CommandResult> {
    const { exitCode, stdout, stderr } = await this.#channel.unary(
      RuntimeService.method.execSync,
      { containerId, cmd, timeout: 60n },
      { timeoutMs: 70_000 },
    );
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: exitCode, stdout: text(stdout), stderr: text(stderr) };
  }

  async #ended(containerId: string, logFile: string): Promise<CommandResult> {
    while (true) {
      const { status } = await this.#channel.unary(
        RuntimeService.method.containerStatus,
        { containerId },
      );
      if (status?.state === ContainerState.CONTAINER_EXITED) {
        const said = (stream: string) => streamOf(logFile, stream);
        return {
          code: status.exitCode,
          stdout: said("stdout"),
          stderr: said("stderr"),
        };
      }
      await pause(50);
    }
  }
}

/** What kubelet says for a pod with a user namespace of its own. */
function ownUsers(hostId: number) {
  const ids = [{ hostId, containerId: 0, length: 65_536 }];
  const usernsOptions = { mode: NamespaceMode.POD, uids: ids, gids: ids };
  return { namespaceOptions: { usernsOptions } };
}

/**
 * Reads one stream of a CRI log. Its lines are `<time> <stream> <F or P> <text>`; after P the line
 * continues.
 */
function streamOf(logFile: string, wanted: string): string {
  return Deno.readTextFileSync(logFile).split("\n").map((line) => {
    const [, stream, tag, text] = line.match(/^\S+ (\S+) (\S+) ?(.*)$/) ?? [];
    if (stream !== wanted) return "";
    return tag === "P" ? text : `${text}\n`;
  }).join("");
}
