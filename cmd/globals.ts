/**
 * The flags that every index tool has, before the command or after it, and what they lead to:
 * containerd, the local store, the end of patience.
 * @module
 */
import {
  ArtifactDatabase,
  ArtifactStore,
} from "../lib/indexes/artifacts/mod.ts";
import {
  connectContainerd,
  type Containerd,
  isRpcError,
} from "../lib/remote/containerd/mod.ts";
import {
  type ArtifactSink,
  both,
  ContainerdPlace,
  firstOf,
  gcLabelOfIndex,
  type ImageSource,
  isMissing,
  type LayerSource,
  LayoutFolder,
} from "../lib/remote/content/mod.ts";
import { type Digest, parseDigest } from "../lib/formats/oci/mod.ts";
import { logger } from "../lib/telemetry/mod.ts";
import { UsageError } from "./command.ts";
import { DEFAULT_ROOT } from "./daemon_root.ts";
import type { GlobalValues } from "./flags.ts";
import { startLogs } from "./logs.ts";
import { parseDuration } from "./table.ts";

const DEFAULT_ADDRESS = "/run/containerd/containerd.sock";

/** For `--help`. */
export const GLOBAL_HELP =
  `  -a, --address SOCKET    containerd's socket (default ${DEFAULT_ADDRESS};
                          also CONTAINERD_ADDRESS)
  -n, --namespace NAME    containerd's namespace (default "default"; also CONTAINERD_NAMESPACE)
  --content-store STORE   where artifacts are kept: containerd (default), or soci, an OCI layout
                          in ROOT/content
  --root DIR              database of artifacts (default ${DEFAULT_ROOT})
  --timeout DURATION      give up after this time, such as 30s or 5m (default: never)
  --debug                 tell each request on stderr`;

/** What a command was told by its global flags. */
export class Session implements AsyncDisposable {
  /** Aborts on Ctrl-C, SIGTERM, and when the time is over. */
  readonly signal: AbortSignal;
  readonly root: string;
  readonly contentStore: "containerd" | "soci";
  readonly #address: string;
  readonly #namespace: string;
  readonly #stack = new AsyncDisposableStack();
  #containerd: Promise<Containerd> | null = null;

  private constructor(values: GlobalValues) {
    const store = values["content-store"] ?? "containerd";
    if (store !== "containerd" && store !== "soci") {
      throw new UsageError("--content-store must be containerd or soci");
    }
    this.contentStore = store;
    this.#address = (values.address ?? Deno.env.get("CONTAINERD_ADDRESS") ??
      DEFAULT_ADDRESS).replace(/^unix:\/\//, "");
    this.#namespace = values.namespace ??
      Deno.env.get("CONTAINERD_NAMESPACE") ?? "default";
    this.root = (values.root ?? DEFAULT_ROOT).replace(/(?<=.)\/+$/, "");
    this.signal = this.#stopSignal(values.timeout ?? "0");
  }

  /** @throws UsageError */
  static async open(values: GlobalValues): Promise<Session> {
    const session = new Session(values);
    if (values.debug === true) await startLogs("debug", "text");
    return session;
  }

  #stopSignal(timeout: string): AbortSignal {
    const timeoutMs = parseDuration(timeout);
    if (timeoutMs === null) {
      throw new UsageError(
        `--timeout: "${timeout}" is no duration (write 30s or 5m)`,
      );
    }
    const stop = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const abort = () => stop.abort(new Error(`interrupted by ${signal}`));
      Deno.addSignalListener(signal, abort);
      this.#stack.defer(() => Deno.removeSignalListener(signal, abort));
    }
    if (timeoutMs > 0) {
      const timer = setTimeout(
        () => stop.abort(new Error(`not done within ${timeout}`)),
        timeoutMs,
      );
      this.#stack.defer(() => clearTimeout(timer));
    }
    return stop.signal;
  }

  /** containerd, connected at the first call. @throws ContainerdError */
  containerd(): Promise<Containerd> {
    this.#containerd ??= connectContainerd(this.#address, {
      namespace: this.#namespace,
      signal: this.signal,
    }).then((containerd) => this.#stack.use(containerd));
    return this.#containerd;
  }

  /** containerd, or null where none answers: for what it only adds names to. */
  async containerdIfThere(): Promise<Containerd | null> {
    try {
      return await this.containerd();
    } catch (error) {
      if (!isRpcError(error)) throw error;
      this.#containerd = null;
      logger("containerd").debug("not there", { error });
      return null;
    }
  }

  /** The local store of artifacts. */
  async store(): Promise<ArtifactStore> {
    const content = this.contentStore === "soci"
      ? undefined
      : this.#stack.use(new ContainerdPlace(await this.containerd()));
    return this.#stack.use(await ArtifactStore.open(this.root, content));
  }

  /** Content of the content store. */
  content(): Promise<LayerSource> {
    return this.image(null);
  }

  /** An image by its name in containerd, with its content from the content store. */
  async image(name: string | null): Promise<ImageSource> {
    const place = new ContainerdPlace(await this.containerd(), name);
    if (this.contentStore === "containerd") return place;
    const layout = await LayoutFolder.create(`${this.root}/content`);
    return firstOf(place, [layout, place]);
  }

  /** Where a converted image goes: beside the one it is made of. */
  async imageSink(store: ArtifactStore): Promise<ArtifactSink> {
    if (this.contentStore === "containerd") return store.content;
    const place = new ContainerdPlace(await this.containerd());
    return both(store.content, this.#stack.use(place));
  }

  /**
   * The database alone, for work that keeps no content here: it remembers which ztocs were made, so
   * that interrupted work goes on. Null where this user can write nowhere.
   */
  notes(): ArtifactDatabase | null {
    const home = Deno.env.get("HOME");
    const folders = [
      this.root,
      ...(home === undefined ? [] : [`${home}/.local/state/soci-deno`]),
    ];
    for (const folder of folders) {
      try {
        Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
        return this.#stack.use(
          new ArtifactDatabase(`${folder}/artifacts.sqlite`),
        );
      } catch (error) {
        logger("artifacts").debug("cannot be kept here", { folder, error });
      }
    }
    return null;
  }

  /**
   * Keeps an index v1 from containerd's collector as long as its image's manifest is there; where
   * that is not in containerd, until it is removed.
   */
  async holdIndex(manifest: Digest, index: Digest): Promise<void> {
    if (this.contentStore !== "containerd") return;
    const place = new ContainerdPlace(await this.containerd());
    try {
      await place.holdBy(manifest, gcLabelOfIndex(index), index);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await place.holdAlone(index);
    }
  }

  /** Ends what {@link Session.holdIndex} began. */
  async letGoOfIndex(manifest: Digest, index: Digest): Promise<void> {
    if (this.contentStore !== "containerd") return;
    const { content } = await this.containerd();
    try {
      await content.updateLabels(manifest, { [gcLabelOfIndex(index)]: "" });
    } catch (error) {
      if (!isMissing(error)) throw error; // the image is gone already
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Reads a digest argument. @throws UsageError */
export function digestArgument(text: string | undefined, say: string) {
  if (text === undefined) throw new UsageError(`say \`${say}\``);
  try {
    return parseDigest(text);
  } catch (cause) {
    throw new UsageError(`"${text}" is no sha256 digest`, { cause });
  }
}
