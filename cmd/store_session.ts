/**
 * The session of the index tools: containerd, and the local store of what they make.
 * @module
 */
import {
  ArtifactDatabase,
  ArtifactStore,
} from "../lib/indexes/artifacts/mod.ts";
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
import type { GlobalValues } from "./flags.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";
import { Session, SESSION_HELP } from "./session.ts";

/** For `--help`. */
export const GLOBAL_HELP = `${SESSION_HELP}
  --content-store STORE   where artifacts are kept: containerd (default), or soci, an OCI layout
                          in ROOT/content
  --root DIR              database of artifacts (default ${DEFAULT_ROOT};
                          also SOCI_SNAPSHOTTER_ROOT)`;

/** A session that also knows where artifacts are kept on this machine. */
export class StoreSession extends Session {
  readonly root: string;
  readonly contentStore: "containerd" | "soci";

  private constructor(values: GlobalValues) {
    const store = values["content-store"] ?? "containerd";
    if (store !== "containerd" && store !== "soci") {
      throw new UsageError("--content-store must be containerd or soci");
    }
    const root = daemonRoot(values.root);
    super(values);
    this.contentStore = store;
    this.root = root;
  }

  /** @throws UsageError */
  static override async open(values: GlobalValues): Promise<StoreSession> {
    const session = new StoreSession(values);
    await session.startLogs(values);
    return session;
  }

  /** The local store of artifacts. */
  async store(): Promise<ArtifactStore> {
    const content = this.contentStore === "soci"
      ? undefined
      : this.stack.use(new ContainerdPlace(await this.containerd()));
    return this.stack.use(await ArtifactStore.open(this.root, content));
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
    return both(store.content, this.stack.use(place));
  }

  /**
   * The database alone, for work that keeps no content here. It records which ztocs were made, so that
   * interrupted work can be resumed. Null if this user cannot write to the root.
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
        return this.stack.use(
          new ArtifactDatabase(`${folder}/artifacts.sqlite`),
        );
      } catch (error) {
        logger("artifacts").debug("cannot be kept here", { folder, error });
      }
    }
    return null;
  }

  /**
   * Protects an index v1 from containerd's garbage collection as long as its image's manifest is there;
   * if the manifest is not in containerd, until the index is removed.
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
