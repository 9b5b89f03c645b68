/**
 * `soci-deno mount`: an image as a read-only directory, at once.
 * @module
 */
import { imageDirectories, ImageService } from "../lib/images/lazy/mod.ts";
import { LayerStore } from "../lib/layers/serving/mod.ts";
import {
  assertLinksOfRoot,
  ensurePrivateFolder,
} from "../lib/host/files/mod.ts";
import { OverlayMount } from "../lib/host/mounting/mod.ts";
import { isMountPoint } from "../lib/host/mounting/mod.ts";
import { writeChain } from "../lib/layers/store/mod.ts";
import { parseReference } from "../lib/remote/registry/mod.ts";
import { platformFlag } from "./platform_flags.ts";
import {
  type Command,
  formatBytes,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { parseFace } from "./face_flag.ts";
import { startLogs } from "./logs.ts";
import { BY_LIBC } from "./looks.ts";
import { mountHelperArguments } from "./program.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";
import { MOUNT_ROOT, mountRoot } from "./root.ts";

/** Files that mark a folder as a root of this command. */
const ROOT_MARKS = ["slots.db"];

const HELP = `
Mount an image read-only, before it is downloaded. Files are fetched as they are read.
The command stays until Ctrl-C, SIGTERM, or \`soci-deno umount DIR\`.

Usage: soci-deno mount [flags] IMAGE DIR

Flags:
  --platform OS/ARCH    which image of a multi-platform one (default: this machine's)
  --root DIR            cache and state (default ${MOUNT_ROOT}); one process at a time
  --allow-other         let all users in, as far as the image's own modes do; without it DIR is
                        root's alone. Setuid programs and devices work for nobody
  --no-background       fetch only what is read
  --face FACE           show files by fuse, by erofs (faster; Linux 6.12), or auto (the default),
                        which tries erofs
  --log-level LEVEL     trace, debug, info, warn, error (default warn)
  --json                one JSON object per line instead of text
${REGISTRY_HELP}

An index is looked for in the image itself (v2) and beside it (v1). Layers without one are
downloaded whole.
`;

/** The `mount` subcommand. */
export const mountCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        platform: { type: "string" },
        root: { type: "string", default: MOUNT_ROOT },
        "no-background": { type: "boolean", default: false },
        "allow-other": { type: "boolean", default: false },
        face: { type: "string" },
        "log-level": { type: "string", default: "warn" },
        json: { type: "boolean", default: false },
        ...REGISTRY_OPTIONS,
      },
    });
    const [image, directory, ...extra] = positionals;
    if (image === undefined || directory === undefined || extra.length > 0) {
      throw new UsageError("say `mount IMAGE DIR`");
    }
    assertLinksOfRoot(values.root, BY_LIBC);
    await startLogs(values["log-level"], "text");
    const reference = parseReference(image);
    const platform = platformFlag(values.platform);
    const root = mountRoot(values.root);
    const target = await Deno.realPath(directory);
    const started = performance.now();

    using client = registryClient(values, reference.host);
    ensurePrivateFolder(root, ROOT_MARKS, BY_LIBC);
    await using store = await LayerStore.open({
      root,
      mountDirectory: `${root}/fs`,
      face: parseFace(values.face) ?? "auto",
      mountHelper: mountHelperArguments(),
    });
    const stop = new AbortController();
    using images = new ImageService(client, store, { v1: true, v2: true });
    const resolved = await images.resolve(reference, platform);
    const access = values["allow-other"] ? "all" : "root";
    // Before anything is downloaded.
    OverlayMount.assertStackable(
      new Set(resolved.layers.map(({ descriptor }) => descriptor.digest)).size,
      access,
    );
    const layers = await images.openAll(resolved, stop.signal);
    {
      const { root: shown, above } = imageDirectories(layers);
      using _overlay = await OverlayMount.mount({
        directories: layers.map((layer) => layer.directory),
        target,
        own: `${root}/top`,
        fill: above === null ? null : (own) => writeChain(above, own),
        root: shown,
        access,
      });
      const report = {
        image: reference.toString(),
        manifest: resolved.descriptor.digest,
        directory: target,
        indexed: resolved.index !== null,
        face: store.face.face,
        layers: layers.length,
        sizeBytes: layers.reduce((sum, layer) => sum + layer.compressedSize, 0),
        readyMs: Math.round(performance.now() - started),
      };
      console.log(
        values.json
          ? JSON.stringify(report)
          : `${report.image} is at ${target}: ${report.layers} layers, ${
            formatBytes(report.sizeBytes)
          }, ready in ${report.readyMs} ms${
            report.indexed ? "" : " (it has no index: fetched whole)"
          }`,
      );
      if (!values["no-background"]) {
        for (const layer of layers) {
          layer.fill().catch(() => {}); // the reader logs it; reads try again
        }
      }
      await untilUnmounted(target);
    }
    const { demandBytes, backgroundBytes, requests } = store.fetched;
    const summary = { demandBytes, backgroundBytes, requests };
    console.log(
      values.json
        ? JSON.stringify(summary)
        : `unmounted; fetched ${formatBytes(demandBytes)} on demand and ${
          formatBytes(backgroundBytes)
        } in the background, in ${requests} requests`,
    );
    return 0;
  },
};

/**
 * Resolves on SIGINT, SIGTERM or SIGHUP, or when someone else unmounts `target`. The signals stay
 * caught, so that a second one does not interrupt the unmounting.
 */
async function untilUnmounted(target: string): Promise<void> {
  const finished = Promise.withResolvers<void>();
  const stop = () => finished.resolve();
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGHUP", stop); // the terminal is gone
  const watch = setInterval(() => {
    if (!isMountPoint(target)) stop();
  }, 250);
  await finished.promise;
  clearInterval(watch);
}
