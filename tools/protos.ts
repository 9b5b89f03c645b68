/**
 * `deno task gen:proto`: generates TypeScript messages from the `.proto` files. The product uses
 * those of containerd's services, the tests those of Kubernetes' runtime interface.
 * @module
 */

const BUF = "npm:@bufbuild/buf@1.74.0";
const FOLDERS = ["lib/remote/containerd/proto", "tests/support/cri/proto"];

for (const folder of FOLDERS) {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", BUF, "generate"],
    cwd: new URL(`../${folder}`, import.meta.url),
  }).spawn().status;
  if (!success) Deno.exit(1);
}
