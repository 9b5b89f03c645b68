/** The proxies of the environment: every way to a registry goes by them, and none to this machine. */
import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { proxyOf } from "../../../../lib/remote/network/proxy.ts";
import {
  makeCertificateAuthority,
  sociDenoCommand,
  tryRun,
} from "../../../support/host/mod.ts";
import { pauseImage, pushImage } from "../../../support/images/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";

const NAME = "registry.test";

/** Sends everything to one port of this machine, and tells what was asked for. */
async function startProxy(port: (line: string) => number) {
  const lines: string[] = [];
  const clients = new Set<Socket>();
  const server = createServer((client) => {
    clients.add(client);
    client.once("data", (data) => {
      const [line = ""] = data.toString("latin1").split("\r\n");
      lines.push(line);
      const upstream = connect(port(line), "127.0.0.1", () => {
        if (line.startsWith("CONNECT ")) {
          client.write("HTTP/1.1 200 OK\r\n\r\n");
        } else upstream.write(data);
        client.pipe(upstream).pipe(client);
      });
      upstream.on("error", () => client.destroy());
    });
    client.on("error", () => {});
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port: own } = server.address() as { port: number };
  return {
    lines,
    url: `http://127.0.0.1:${own}`,
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

function inspect(proxy: string, image: string, ...flags: string[]) {
  const { program, args } = sociDenoCommand("inspect", ...flags, image);
  return tryRun(program, args, {
    timeoutMs: 60_000,
    env: {
      ...{ HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
      DENO_NO_UPDATE_CHECK: "1", // the runtime's own request
    },
  });
}

Deno.test("a registry is reached by the proxy: plain, over TLS, and with any certificate; this machine without it", async () => {
  await using authority = await makeCertificateAuthority();
  const files = await authority.issue([NAME, "127.0.0.1"]);
  const tls = {
    cert: await Deno.readTextFile(files.cert),
    key: await Deno.readTextFile(files.key),
  };
  await using plain = startRegistry();
  await using safe = startRegistry({ tls });
  const portOf = ({ host }: { host: string }) => Number(host.split(":")[1]);
  await using proxy = await startProxy((line) =>
    portOf(line.startsWith("CONNECT ") ? safe : plain)
  );
  const image = pauseImage();
  await pushImage(plain.host, "team/app:1", image);
  await pushImage(safe.host, "team/app:1", image, {
    scheme: "https",
    caCerts: [authority.certPem],
  });
  for (
    const [flags, asked] of [
      [["--plain-http"], /^(GET|HEAD) http:\/\/registry\.test\//],
      [["--tlscacert", authority.certPath], /^CONNECT registry\.test:443 /],
      [["-k"], /^CONNECT registry\.test:443 /],
    ] as const
  ) {
    proxy.lines.length = 0;
    const ran = await inspect(proxy.url, `${NAME}/team/app:1`, ...flags);
    assert.match(
      ran.stdout + ran.stderr,
      /no SOCI index|no index/,
      `${flags[0]} ${ran.stderr} ${proxy.lines}`,
    );
    assert.ok(proxy.lines.length > 0, flags[0]);
    for (const line of proxy.lines) assert.match(line, asked);
  }
  proxy.lines.length = 0;
  const hosts = await Deno.makeTempDir({ prefix: "soci-deno-hosts-" });
  await Deno.mkdir(`${hosts}/${safe.host}`);
  for (
    const [host, more] of [
      [plain.host, ""],
      [safe.host, `ca = "${authority.certPath}"`],
      [safe.host, "skip_verify = true"],
    ] as const
  ) {
    await Deno.writeTextFile(
      `${hosts}/${safe.host}/hosts.toml`,
      `server = "https://${safe.host}"\n${more}\n`,
    );
    const ran = await inspect(
      ...[proxy.url, `${host}/team/app:1`, "--hosts-dir", hosts] as const,
    );
    assert.match(
      ran.stdout + ran.stderr,
      /no SOCI index|no index/,
      `${more} ${ran.stdout} ${ran.stderr}`,
    );
  }
  await Deno.remove(hosts, { recursive: true });
  assert.deepEqual(proxy.lines, []);
});

Deno.test("which proxy a request goes by", () => {
  const env = {
    HTTP_PROXY: "p:3128",
    https_proxy: "https://anna:x@s.example",
    NO_PROXY: "*.inner.example, .dot.example,10.0.0.0/8,one.example",
  };
  const of = (url: string) =>
    proxyOf(new URL(url), (name) => new Map(Object.entries(env)).get(name))
      ?.href ?? null;
  assert.equal(of("http://r.example/"), "http://p:3128/");
  assert.equal(of("https://r.example/"), "https://anna:x@s.example/");
  for (
    const host of [
      ...["localhost", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"],
      ...["a.inner.example", "inner.example", "dot.example", "b.dot.example"],
      ...["10.20.30.40", "one.example", "x.one.example"],
    ]
  ) assert.equal(of(`https://${host}/`), null, host);
  for (const host of ["11.0.0.1", "none.example", "xinner.example"]) {
    assert.notEqual(of(`https://${host}/`), null, host);
  }
  assert.equal(proxyOf(new URL("https://r.example"), () => undefined), null);
});
