import { type Image, makeImage, type RunConfig } from "./image.ts";
import { layerBlob } from "./layer.ts";
import { TarBuilder } from "./tar_builder.ts";

/** Debian's busybox-static: one program without libraries. */
export function busyboxBytes(): Uint8Array {
  return Deno.readFileSync("/bin/busybox");
}

/** Names that busybox answers to in the ready-made images. */
export const BUSYBOX_APPLETS = [
  ..."cat chmod cp date dd du echo env false find grep head id ln ls md5sum"
    .split(
      " ",
    ),
  ..."mkdir mv nc od ps pwd readlink rm seq sh sha256sum sleep sort stat".split(
    " ",
  ),
  ..."sync tail tar test touch true uname wc which xargs yes".split(" "),
];

/** Adds `bin/busybox` and a symbolic link for every applet. */
export function addBusybox(tar: TarBuilder): TarBuilder {
  tar.dir("bin").file("bin/busybox", busyboxBytes(), { mode: 0o755 });
  for (const applet of BUSYBOX_APPLETS) tar.symlink(`bin/${applet}`, "busybox");
  return tar;
}

/** The smallest image that runs: busybox, with `sleep` as its command. */
export function pauseImage(config: RunConfig = {}): Image {
  const tar = addBusybox(new TarBuilder())
    .dir("etc")
    .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    .dir("tmp", { mode: 0o1777 });
  return makeImage({
    layers: [layerBlob(tar)],
    config: { entrypoint: ["/bin/busybox", "sleep", "infinity"], ...config },
  });
}
