import { run } from "./command.ts";
import { freePort, type Service, startService } from "./service.ts";

/** Debian's docker-registry (CNCF distribution 2.8), with a storage directory of its own. */
export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:<port>`; with TLS use a name of the certificate and this port. */
  readonly host: string;
  readonly port: number;
  /** Of the process. */
  readonly pid: number;
  /** Where it keeps its blobs, to break them on purpose. */
  readonly storage: string;
  logs(): string;
  /** Sends a signal: SIGSTOP freezes it, SIGCONT resumes it. */
  kill(signal: Deno.Signal): void;
  close(): Promise<void>;
}

/** Starts a registry on a free port of the loopback. */
export async function startDockerRegistry(options: {
  /** Paths of a PEM certificate and its key; with `clientCas` clients need certificates too. */
  tls?: { cert: string; key: string; clientCas?: string };
  /** Accounts for HTTP Basic. Default: everybody may read and write. */
  users?: Readonly<Record<string, string>>;
  /** Where its blobs are and stay. Default: a folder that goes with it. */
  storage?: string;
} = {}): Promise<DockerRegistry> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-registry-" });
  const storage = options.storage ?? `${folder}/storage`;
  const port = freePort();
  const lines = [
    "version: 0.1",
    "log: {level: info, accesslog: {disabled: false}}",
    "storage:",
    `  filesystem: {rootdirectory: ${storage}}`,
    "  delete: {enabled: true}",
    "http:",
    `  addr: 127.0.0.1:${port}`,
  ];
  if (options.tls !== undefined) {
    const { cert, key, clientCas } = options.tls;
    const cas = clientCas === undefined ? "" : `, clientcas: [${clientCas}]`;
    lines.push(`  tls: {certificate: ${cert}, key: ${key}${cas}}`);
  }
  if (options.users !== undefined) {
    const accounts = await Promise.all(
      Object.entries(options.users).map(htpasswdLine),
    );
    await Deno.writeTextFile(`${folder}/htpasswd`, accounts.join(""));
    lines.push(`auth: {htpasswd: {realm: test, path: ${folder}/htpasswd}}`);
  }
  await Deno.writeTextFile(`${folder}/config.yml`, lines.join("\n") + "\n");
  let service: Service;
  try {
    service = await startService({
      program: "docker-registry",
      args: ["serve", `${folder}/config.yml`],
      logFile: `${folder}/log`,
      ready: () => portAnswers(port),
    });
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  const close = async () => {
    await service.close();
    await Deno.remove(folder, { recursive: true });
  };
  return {
    host: `127.0.0.1:${port}`,
    port,
    pid: service.pid,
    storage,
    logs: service.logs,
    kill: service.kill,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** docker-registry accepts only bcrypt, which perl's crypt (libxcrypt) can make. */
async function htpasswdLine([user, password]: [string, string]) {
  const { stdout } = await run("perl", [
    "-e",
    "print crypt($ARGV[0], q($2b$05$abcdefghijklmnopqrstuu))",
    password,
  ]);
  return `${user}:${stdout}\n`;
}

async function portAnswers(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false; // not listening yet
  }
}
