/** The base runtime that the product is compiled with for its tests. @module */
import { type NpmProgram, npmProgram } from "../npm_program.ts";

/** What compiles, and what the result runs on. */
export interface Runtime {
  /** The Deno that compiles. */
  readonly deno: string;
  /** The base runtime of that version. */
  readonly baseRuntime: string;
  /** For people: its version and where it is from. */
  readonly name: string;
  /** Whether HTTP/2 over Unix sockets has to be helped. */
  readonly needsTcp: boolean;
}

/** A program compiled with Deno 2.7.11 (MIT). Its first part is that version's base runtime. */
const PROGRAMS: Readonly<Record<string, NpmProgram>> = {
  x86_64: {
    name: "@stdy/cli-linux-x64@0.22.2",
    file: "package/bin/steady",
    integrity:
      "kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==",
  },
};
const COMPILERS: Readonly<Record<string, NpmProgram>> = {
  x86_64: {
    name: "@deno/linux-x64-glibc@2.7.11",
    file: "package/deno",
    integrity:
      "TCRXqy4rHI+pKmWfjIz/qfDyfTz61qhxj+03kEJ3r0YzRGsXNoHyE7WiUawwUK2hbrBAu7hn3m5833VUYqRzOg==",
  },
};

/** From this release on `node:http2` works on Unix sockets. */
const HTTP2_WORKS = [2, 9] as const;

/**
 * The base runtime that `DENORT_BIN` names, with the Deno that `DENORT_DENO` names or else the one that runs this,
 * which must be of the same version; without it that of Deno 2.7.11, fetched once into a cache folder.
 * @throws Error if it cannot be had, or is not what it was.
 */
export async function testRuntime(): Promise<Runtime> {
  const named = Deno.env.get("DENORT_BIN");
  if (named !== undefined) {
    const deno = Deno.env.get("DENORT_DENO") ?? Deno.execPath();
    const version = await versionOf(deno);
    return {
      deno,
      baseRuntime: named,
      name: `Deno ${version}, ${named}`,
      needsTcp: isBefore(version, HTTP2_WORKS),
    };
  }
  const program = PROGRAMS[Deno.build.arch];
  const compiler = COMPILERS[Deno.build.arch];
  if (program === undefined || compiler === undefined) {
    throw new Error(
      `no test runtime for ${Deno.build.arch}: name a base runtime by DENORT_BIN`,
    );
  }
  const deno = await npmProgram(compiler, "deno-2.7.11");
  const baseRuntime = await npmProgram(
    program,
    "denort-2.7.11",
    withoutPayload,
  );
  return {
    ...{ deno, baseRuntime, name: `Deno 2.7.11, from ${program.name}` },
    needsTcp: true,
  };
}

async function versionOf(deno: string): Promise<string> {
  const { stdout } = await new Deno.Command(deno, { args: ["--version"] })
    .output();
  const text = new TextDecoder().decode(stdout);
  const [, version] = /^deno (\d+\.\d+\.\d+)/.exec(text) ?? [];
  if (version === undefined) throw new Error(`${deno} is no Deno`);
  return version;
}

function isBefore(
  version: string,
  [major, minor]: readonly [number, number],
): boolean {
  const [a = 0, b = 0] = version.split(".").map(Number);
  return a < major || a === major && b < minor;
}

/** A program that Deno compiled is its base runtime, which ends with the table of sections, and what was added. */
function withoutPayload(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const table = Number(view.getBigUint64(0x28, true));
  return bytes.subarray(
    0,
    table + view.getUint16(0x3a, true) * view.getUint16(0x3c, true),
  );
}
