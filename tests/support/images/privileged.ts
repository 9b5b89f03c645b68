import { HostFiles, librariesOf } from "./host_files.ts";
import { type Image, makeImage } from "./image.ts";
import { layerBlob } from "./layer.ts";
import { addBusybox } from "./pause.ts";
import { TarBuilder } from "./tar_builder.ts";

/** Prints the user that the setuid program runs as, then four bytes of the device node. */
export const PRIVILEGED_SCRIPT =
  "/suid/id -u; head -c 4 /nodes/zero 2>&1 | od -An -tx1";

/**
 * An image with files that only its own containers may use: `/suid/id`, which is `id` with the
 * setuid bit and owned by root, and `/nodes/zero`, a node of the zero device that everybody may
 * read.
 * @param layers 1, or 2 to have the programs of `PRIVILEGED_SCRIPT` in a lower layer.
 */
export function privilegedImage(layers: 1 | 2): Image {
  const id = Deno.realPathSync("/usr/bin/id");
  const base = addBusybox(new TarBuilder()).dir("etc")
    .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    .dir("tmp", { mode: 0o1777 }).dir("proc").dir("sys").dir("dev")
    .symlink("lib", "usr/lib").symlink("lib64", "usr/lib64");
  const files = new HostFiles();
  for (const path of librariesOf([id])) files.library(base, path);
  const own = layers === 1 ? base : new TarBuilder();
  own.dir("suid", { mode: 0o755 })
    .file("suid/id", Deno.readFileSync(id), { mode: 0o4755 })
    .dir("nodes", { mode: 0o755 })
    .charDevice("nodes/zero", { major: 1, minor: 5 }, { mode: 0o666 });
  return makeImage({
    layers: (layers === 1 ? [base] : [base, own]).map((tar) => layerBlob(tar)),
    config: { env: ["PATH=/usr/bin:/bin"], user: "65534:65534" },
  });
}
