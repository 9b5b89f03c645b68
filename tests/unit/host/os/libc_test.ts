import assert from "node:assert/strict";
import { chooseLibc, LibcError } from "../../../../lib/host/os/libc_path.ts";

Deno.test("the first libc that can be opened is taken", () => {
  const tried: string[] = [];
  const chosen = chooseLibc(["/a", "/b", "/c"], (path) => {
    tried.push(path);
    if (path === "/a") throw new Error("not there");
  });
  assert.equal(chosen, "/b");
  assert.deepEqual(tried, ["/a", "/b"]);
});

Deno.test("a libc that may not be opened is told from one that is not there", () => {
  const refused = () =>
    chooseLibc(["/a", "/b"], (path) => {
      throw path === "/a"
        ? new Error("not there")
        : new Deno.errors.NotCapable("no");
    });
  assert.throws(refused, (error: Error) =>
    error instanceof LibcError &&
    /no permission for any of \/a, \/b/.test(error.message));
  assert.throws(() =>
    chooseLibc(["/a"], () => {
      throw new Error("not there");
    }), /there is no glibc at \/a/);
});
