/** What a release is made of, for machines: CycloneDX 1.5. @module */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Package } from "../binary/licences.ts";

/** What the list is of. */
export interface SbomOptions {
  readonly version: string;
  /** Of the commit. */
  readonly time: Date;
  readonly packages: readonly Package[];
  /** Text of `deno.lock`: the digests of the packages and what they need. */
  readonly lock: string;
  /** The runtime inside the binary; null: a bundle has none. */
  readonly deno: string | null;
}

interface LockedPackage {
  readonly integrity?: string;
  readonly dependencies?: readonly string[];
}

/** The same input gives the same text. @throws Error for a package that the lock does not have */
export function sbomOf(
  { version, time, packages, lock, deno }: SbomOptions,
): string {
  const locked: Readonly<Record<string, LockedPackage>> =
    JSON.parse(lock).npm ?? {};
  const self = `pkg:generic/soci-deno@${version}`;
  const refs = new Map(packages.map((one) => [one.name, purlOf(one)]));
  const components: Record<string, unknown>[] = [];
  const dependencies: { ref: string; dependsOn: string[] }[] = [];
  for (const one of packages) {
    const { integrity = "", dependencies: needs = [] } = lockOf(locked, one);
    const [group, name] = one.name.startsWith("@")
      ? one.name.split("/") as [string, string]
      : [undefined, one.name];
    components.push({
      type: "library",
      "bom-ref": purlOf(one),
      ...(group === undefined ? {} : { group }),
      ...{ name, version: one.version, scope: "required" },
      hashes: [{
        alg: "SHA-512",
        content: Buffer.from(integrity.replace(/^sha512-/, ""), "base64")
          .toString("hex"),
      }],
      licenses: [licenceOf(one.licence)],
      purl: purlOf(one),
    });
    dependencies.push({
      ref: purlOf(one),
      dependsOn: needs.map((need) => refs.get(nameIn(need)))
        .filter((ref) => ref !== undefined).sort(),
    });
  }
  if (deno !== null) {
    const purl = `pkg:github/denoland/deno@v${deno}`;
    components.push({
      ...{ type: "framework", "bom-ref": purl, name: "deno", version: deno },
      ...{ scope: "required", licenses: [licenceOf("MIT")], purl },
    });
    dependencies.push({ ref: purl, dependsOn: [] });
  }
  const direct = components.map((one) => one["bom-ref"] as string);
  const content = {
    metadata: {
      timestamp: time.toISOString(),
      component: {
        ...{ type: "application", "bom-ref": self, name: "soci-deno", version },
        ...{ licenses: [licenceOf("Apache-2.0")], purl: self },
      },
    },
    components,
    dependencies: [{ ref: self, dependsOn: direct }, ...dependencies],
  };
  const hash = createHash("sha256").update(JSON.stringify(content))
    .digest("hex");
  return `${
    JSON.stringify(
      {
        ...{ bomFormat: "CycloneDX", specVersion: "1.5" },
        ...{ serialNumber: `urn:uuid:${uuidOf(hash)}`, version: 1 },
        ...content,
      },
      null,
      2,
    )
  }\n`;
}

function purlOf({ name, version }: Package): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

function licenceOf(spdx: string) {
  return /^[A-Za-z0-9.+-]+$/.test(spdx)
    ? { license: { id: spdx } }
    : { expression: spdx };
}

/** The lock names a package by its version, and behind that what it was resolved with. */
function lockOf(
  locked: Readonly<Record<string, LockedPackage>>,
  { name, version }: Package,
): LockedPackage {
  const key = Object.keys(locked).find((one) =>
    one === `${name}@${version}` || one.startsWith(`${name}@${version}_`)
  );
  const found = key === undefined ? undefined : locked[key];
  if (found?.integrity === undefined) {
    throw new Error(`deno.lock does not have ${name} ${version}`);
  }
  return found;
}

/** `@scope/name@1.2.3` or `name`. */
function nameIn(need: string): string {
  return need.replace(/(?<=.)@.*$/, "");
}

/** A UUID (version 8: of one's own making) out of a digest. */
function uuidOf(hash: string): string {
  const variant = (parseInt(hash[16]!, 16) & 3 | 8).toString(16);
  return [
    ...[hash.slice(0, 8), hash.slice(8, 12), `8${hash.slice(13, 16)}`],
    ...[`${variant}${hash.slice(17, 20)}`, hash.slice(20, 32)],
  ].join("-");
}
