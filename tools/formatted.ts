/** Text as `deno fmt` leaves it. @module */

/** Formats a file's text. @param ext its name's ending, such as `md` @throws Error with what Deno said */
export async function formatted(text: string, ext: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", ext, "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`deno fmt: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
