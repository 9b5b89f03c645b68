/** That leaving out the lower ones of equal layers changes nothing, shown by the kernel itself. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { mountSpecs } from "../../../../lib/images/snapshotter/mounts.ts";
import { compareTrees, treeOf } from "../../../support/compare/mod.ts";
import { run } from "../../../support/host/mod.ts";

/** What a layer says of a path; directories above it come by themselves. */
type Saying = "file" | "directory" | "whiteout" | "opaque";

const path = fc.array(fc.constantFrom("a", "b", "c"), {
  minLength: 1,
  maxLength: 3,
}).map((parts) => parts.join("/"));
const sayings: fc.Arbitrary<Saying> = fc.constantFrom(
  ...(["file", "file", "directory", "whiteout", "opaque"] as const),
);
const layer = fc.dictionary(path, sayings, {
  maxKeys: 6,
  noNullPrototype: true,
});

/** Puts the layer into a directory; what does not go together is left out. */
function script(folder: string, said: Record<string, Saying>, mode: number) {
  const lines = [`mkdir ${folder}`];
  for (const [path, saying] of Object.entries(said).sort()) {
    const at = `${folder}/${path}`;
    const made = {
      file: `[ -e ${at} ] || echo ${folder} > ${at}`,
      directory: `mkdir -p -m ${mode} ${at}`,
      whiteout: `[ -e ${at} ] || mknod ${at} c 0 0`,
      opaque: `mkdir -p ${at} && setfattr -n trusted.overlay.opaque -v y ${at}`,
    }[saying];
    lines.push(`mkdir -p ${at.slice(0, at.lastIndexOf("/"))} && { ${made}; }`);
  }
  return lines.map((line) => `{ ${line}; } 2>/dev/null`).join("\n") + "\ntrue";
}

/**
 * What is there. In a directory that one layer alone has, overlayfs lists that layer's whiteouts, which
 * nobody can open then; where two have it, it lists none.
 */
async function visible(root: string) {
  return (await treeOf(root)).filter(({ type }) => type !== "ghost");
}

Deno.test("of equal layers only the uppermost counts, whatever is between them", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-repeated-" });
  let number = 0;
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(layer, { minLength: 2, maxLength: 3 }),
        fc.array(fc.nat(2), { minLength: 3, maxLength: 7 }),
        async (layers, picks) => {
          const at = `${folder}/${number++}`;
          await Deno.mkdir(at);
          const stack = picks.map((pick) => pick % layers.length);
          // Each place a copy of its own, for the kernel to take all of them.
          const copies = stack.map((layer, place) =>
            script(`${at}/copy${place}`, layers[layer] ?? {}, 700 + layer)
              .replaceAll(`echo ${at}/copy${place} `, `echo of-${layer} `)
          );
          const once = layers.map((said, layer) =>
            script(`${at}/once${layer}`, said, 700 + layer)
              .replaceAll(`echo ${at}/once${layer} `, `echo of-${layer} `)
          );
          await run("sh", ["-c", [...copies, ...once].join("\n")]);
          await run("mkdir", [`${at}/all`, `${at}/distinct`, `${at}/empty`]);
          const [spec] = mountSpecs({
            key: "view",
            kind: "view",
            fs: `${at}/empty`,
            work: "",
            parents: stack.map((layer) => `${at}/once${layer}`),
          }, []);
          const all = stack.map((_, place) => `${at}/copy${place}`).join(":");
          await run("mount", [
            ...["-t", "overlay", "overlay", `${at}/all`],
            ...["-o", `lowerdir=${all}`],
          ]);
          await run("mount", [
            ...["-t", "overlay", "overlay", `${at}/distinct`],
            ...["-o", spec?.options.join(",") ?? ""],
          ]);
          try {
            assert.deepEqual(
              compareTrees(
                await visible(`${at}/distinct`),
                await visible(`${at}/all`),
                { ignore: ["mtimeNs", "nlink"] },
              ),
              [],
              JSON.stringify({ layers, stack }),
            );
          } finally {
            await run("umount", [`${at}/all`, `${at}/distinct`]);
          }
        },
      ),
      { numRuns: 40 },
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
