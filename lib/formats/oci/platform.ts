/** What machine an image is for (OCI image spec, image-index.md). */
export interface Platform {
  /** As Go names it: `amd64`, `arm64`. */
  readonly architecture: string;
  /** As Go names it: `linux`. */
  readonly os: string;
  /** Of Windows images. */
  readonly "os.version"?: string;
  /** Of the processor: `v7`, `v8`. */
  readonly variant?: string;
}

/** Text that is no platform. */
export class PlatformError extends Error {
  static {
    this.prototype.name = "PlatformError";
  }
}

const ARCHITECTURE_ALIASES: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  armel: "arm",
  i386: "386",
};

/** The variant that an architecture means when none is said. */
const DEFAULT_VARIANT: Readonly<Record<string, string>> = {
  arm64: "v8",
  arm: "v7",
  amd64: "v1",
};

/** The machine this runs on. */
export function hostPlatform(): Platform {
  const architecture = ARCHITECTURE_ALIASES[Deno.build.arch] ?? Deno.build.arch;
  return { architecture, os: "linux" };
}

/**
 * Reads `os/arch[/variant]`, or `arch` alone for Linux.
 * @throws PlatformError
 */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw new PlatformError(`"${text}" is no platform (write linux/amd64)`);
  }
  const [os, architecture, variant] = parts.length === 1
    ? ["linux", parts[0]!]
    : parts;
  const name = ARCHITECTURE_ALIASES[architecture!] ?? architecture!;
  return variant === undefined
    ? { architecture: name, os: os! }
    : { architecture: name, os: os!, variant };
}

/** `linux/amd64` or `linux/arm/v7`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined || variant === ""
    ? `${os}/${architecture}`
    : `${os}/${architecture}/${variant}`;
}

/** Whether an image made for `offered` runs where `wanted` is asked for. */
export function matchPlatform(wanted: Platform, offered: Platform): boolean {
  const variantOf = (p: Platform) =>
    p.variant || DEFAULT_VARIANT[p.architecture] || "";
  return wanted.os === offered.os &&
    wanted.architecture === offered.architecture &&
    variantOf(wanted) === variantOf(offered);
}
