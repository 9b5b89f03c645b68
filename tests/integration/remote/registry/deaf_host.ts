/** A place that accepts no connection and refuses none. */
export async function deafHost(): Promise<AsyncDisposable & { host: string }> {
  const process = new Deno.Command("python3", {
    args: [
      "-c",
      `
import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
held = []
for _ in range(4):
    c = socket.socket(); c.setblocking(False); held.append(c)
    try: c.connect(s.getsockname())
    except BlockingIOError: pass
print(s.getsockname()[1], flush=True)
sys.stdin.read()`,
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  let port = "";
  for await (
    const text of process.stdout.pipeThrough(new TextDecoderStream())
      .values({ preventCancel: true })
  ) {
    port += text;
    if (text.includes("\n")) break;
  }
  return {
    host: `127.0.0.1:${port.trim()}`,
    async [Symbol.asyncDispose]() {
      await process.stdin.close();
      await process.stdout.cancel().catch(() => {}); // it has ended
      await process.status;
    },
  };
}
