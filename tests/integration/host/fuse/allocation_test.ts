import assert from "node:assert/strict";
import { LOOSE, python } from "./support.ts";

/** A mixture of requests that the kernel never answers by itself. */
const ASK = `
import mmap, os, sys
d, rounds = sys.argv[1], int(sys.argv[2])
fd = os.open(d + "/file", os.O_RDONLY | os.O_DIRECT)
small, large = mmap.mmap(-1, 4096), mmap.mmap(-1, 1 << 20)
for r in range(rounds):
    for i in range(100):
        os.getxattr(d + "/file", "user.a")
        os.preadv(fd, [small], i * 8192)
        try: os.lstat(f"{d}/d/missing-{r}-{i}")
        except FileNotFoundError: pass
    for i in range(3): os.preadv(fd, [large], i << 20)
    os.listdir(d + "/d")
    os.statvfs(d)
`;
/** Requests a round makes, at least. */
const REQUESTS = 305;

/** Collections of young objects while so many rounds are served. */
async function collections(rounds: number): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-allocation-" });
  const server = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--v8-flags=--trace-gc"],
      new URL("allocation_server.ts", import.meta.url).pathname,
      folder,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = new Response(server.stdout).text();
  const told = server.stderr.getReader();
  try {
    const { value } = await told.read();
    const directory = new TextDecoder().decode(value).trim();
    await python(ASK, directory, `${rounds}`);
  } finally {
    await server.stdin.close();
    await server.status;
    await told.cancel();
  }
  await Deno.remove(folder, { recursive: true });
  return (await output).match(/Scavenge|Mark-Compact/g)?.length ?? 0;
}

Deno.test({
  name:
    "a Worker that is warm allocates nothing for requests, whatever their kind",
  ...LOOSE,
  async fn() {
    const warm = await collections(40);
    const more = await collections(840);
    // The young generation is collected each megabyte. The least object has 16 bytes: one for each
    // request would show as four collections.
    const bytes = (more - warm) * 2 ** 20 / (800 * REQUESTS);
    assert.ok(bytes < 16, `${warm} and ${more} collections`);
    console.log(`    ${warm} collections, ${more} with 244 000 requests more`);
  },
});
