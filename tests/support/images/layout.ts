import type { Image, ImageSet } from "./image.ts";

const text = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));

/**
 * Writes an image, or an index with its images, as an OCI layout directory. Uses plain file calls,
 * so it is independent of the code under test.
 * @param name its `org.opencontainers.image.ref.name`.
 */
export async function writeLayout(
  folder: string,
  image: Image | ImageSet,
  name = "latest",
): Promise<void> {
  const blobs = `${folder}/blobs/sha256`;
  await Deno.mkdir(blobs, { recursive: true });
  const put = (digest: string, bytes: Uint8Array) =>
    Deno.writeFile(`${blobs}/${digest.slice(7)}`, bytes);
  for (const each of image.kind === "index" ? image.images : [image]) {
    await put(each.digest, each.manifest);
    for (const [digest, bytes] of each.blobs) await put(digest, bytes);
  }
  await put(image.digest, image.manifest);
  await Deno.writeFile(
    `${folder}/oci-layout`,
    text({ imageLayoutVersion: "1.0.0" }),
  );
  const { mediaType, digest, size } = image.descriptor;
  await Deno.writeFile(
    `${folder}/index.json`,
    text({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{
        mediaType,
        digest,
        size,
        annotations: { "org.opencontainers.image.ref.name": name },
      }],
    }),
  );
}
