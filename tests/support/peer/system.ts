import { run } from "../host/mod.ts";

const AUTHORITIES = "/usr/local/share/ca-certificates";
const HOSTS = "/etc/hosts";

/** Makes the whole machine trust an authority until it is disposed. */
export async function trustAuthority(
  certPem: string,
): Promise<AsyncDisposable> {
  const path = `${AUTHORITIES}/soci-deno-test-${crypto.randomUUID()}.crt`;
  await Deno.mkdir(AUTHORITIES, { recursive: true });
  await Deno.writeTextFile(path, certPem);
  await run("update-ca-certificates", []);
  return {
    async [Symbol.asyncDispose]() {
      await Deno.remove(path);
      await run("update-ca-certificates", ["--fresh"]);
    },
  };
}

/** Gives 127.0.0.1 a further name in /etc/hosts until it is disposed. */
export function nameLoopback(name: string): Disposable {
  const line = `127.0.0.1 ${name} # soci-deno-test\n`;
  Deno.writeTextFileSync(HOSTS, line, { append: true });
  return {
    [Symbol.dispose]() {
      // Written in place: in a container /etc/hosts is a mount and cannot be renamed over.
      const text = Deno.readTextFileSync(HOSTS);
      Deno.writeTextFileSync(HOSTS, text.replace(line, ""));
    },
  };
}
