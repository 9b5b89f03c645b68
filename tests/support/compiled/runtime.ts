/** The base runtime that the product is compiled with for its tests. @module */
import { createHash } from "node:crypto";

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

/** A package of the npm registry, and what it must hold. */
interface Package {
  readonly name: string;
  readonly file: string;
  /** SHA-512 of the archive, as npm writes it. */
  readonly integrity: string;
}

/** A program compiled with Deno 2.7.11 (MIT). Its first part is that version's base runtime. */
const PROGRAMS: Readonly<Record<string, Package>> = {
  x86_64: {
    name: "@stdy/cli-linux-x64@0.22.2",
    file: "package/bin/steady",
    integrity:
      "kp5QdG26EC8gEzVXI0YgzmiiFHz7DFCNRLNfAWa2rDPHr/jUBnfkP8AlbTPmv0YNQpnKn1wzSWHFw88fn/OTog==",
  },
};
const COMPILERS: Readonly<Record<string, Package>> = {
  x86_64: {
    name: "@deno/linux-x64-glibc@2.7.11",
    file: "package/deno",
    integrity:
      "TCRXqy4rHI+pKmWfjIz/qfDyfTz61qhxj+03kEJ3r0YzRGsXNoHyE7WiUawwUK2hbrBAu7hn3m5833VUYqRzOg==",
  },
};

/**
 * The base runtime that `DENORT_BIN` names, with the Deno that runs this; else that of Deno 2.7.11, fetched once
 * into a cache folder.
 * @throws Error if it cannot be had, or is not what it was.
 */
export async function testRuntime(): Promise<Runtime> {
  const named = Deno.env.get("DENORT_BIN");
  if (named !== undefined) {
    return {
      deno: Deno.execPath(),
      baseRuntime: named,
      name: `Deno ${Deno.version.deno}, ${named}`,
      needsTcp: false,
    };
  }
  const program = PROGRAMS[Deno.build.arch];
  const compiler = COMPILERS[Deno.build.arch];
  if (program === undefined || compiler === undefined) {
    throw new Error(
      `no test runtime for ${Deno.build.arch}: name a base runtime by DENORT_BIN`,
    );
  }
  const cache = cacheFolder();
  await Deno.mkdir(cache, { recursive: true });
  const deno = `${cache}/deno-2.7.11`;
  const baseRuntime = `${cache}/denort-2.7.11`;
  if (!await exists(deno)) await fetchProgram(compiler, cache, deno, (b) => b);
  if (!await exists(baseRuntime)) {
    await fetchProgram(program, cache, baseRuntime, withoutPayload);
  }
  return {
    ...{ deno, baseRuntime, name: `Deno 2.7.11, from ${program.name}` },
    needsTcp: true,
  };
}

function cacheFolder(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") ??
    `${Deno.env.get("HOME") ?? "/root"}/.cache`;
  return `${home}/soci-deno-test-runtime`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function fetchProgram(
  { name, file, integrity }: Package,
  cache: string,
  path: string,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: cache });
  try {
    const archive = await command("npm", ["pack", "--silent", name], folder);
    const bytes = await Deno.readFile(`${folder}/${archive.trim()}`);
    const found = createHash("sha512").update(bytes).digest("base64");
    if (found !== integrity) {
      throw new Error(`${name} is not what it was: sha512-${found}`);
    }
    await command("tar", ["xzf", archive.trim(), file], folder);
    const program = change(await Deno.readFile(`${folder}/${file}`));
    await Deno.writeFile(`${folder}/program`, program, { mode: 0o755 });
    await Deno.rename(`${folder}/program`, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function command(
  program: string,
  args: readonly string[],
  cwd: string,
): Promise<string> {
  const ran = await new Deno.Command(program, { args: [...args], cwd })
    .output();
  if (ran.success) return new TextDecoder().decode(ran.stdout);
  throw new Error(
    `${program} ${args.join(" ")}: ${new TextDecoder().decode(ran.stderr)}`,
  );
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
