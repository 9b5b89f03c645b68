/**
 * `deno task gen:proto`: generates TypeScript messages from the `.proto` files: those of containerd's
 * services, which the product speaks, and those of Kubernetes' runtime interface, which its tests speak.
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
