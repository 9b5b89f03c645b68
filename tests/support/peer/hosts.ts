const HOSTS = "/etc/hosts";

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
