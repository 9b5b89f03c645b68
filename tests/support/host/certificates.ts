import { run } from "./command.ts";

/** A certificate for a server, as paths and as text. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A throw-away authority that is in no trust store. */
export interface CertificateAuthority extends AsyncDisposable {
  /** Path of its certificate (PEM). */
  readonly certPath: string;
  /** Its certificate (PEM), for `caCerts` of an HTTP client. */
  readonly certPem: string;
  /** Makes a certificate for DNS names and IP addresses, by default for a server. */
  issue(
    names: readonly string[],
    options?: { use?: "server" | "client" },
  ): Promise<ServerCertificate>;
  close(): Promise<void>;
}

const CURVE = [
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:P-256",
  "-nodes",
];

/** Makes an authority; its files live until it is closed. */
export async function makeCertificateAuthority(): Promise<
  CertificateAuthority
> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-ca-" });
  const certPath = `${folder}/ca.crt`;
  const keyPath = `${folder}/ca.key`;
  await run("openssl", [
    ...["req", "-x509", ...CURVE, "-days", "2", "-subj", "/CN=throw-away CA"],
    ...["-addext", "basicConstraints=critical,CA:TRUE"],
    ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
    ...["-keyout", keyPath, "-out", certPath],
  ]);
  let issued = 0;
  const issue: CertificateAuthority["issue"] = async (
    names,
    { use = "server" } = {},
  ) => {
    const base = `${folder}/server-${issued++}`;
    const cert = `${base}.crt`;
    const key = `${base}.key`;
    await run("openssl", [
      ...["req", "-new", ...CURVE, "-subj", `/CN=${names[0]}`],
      ...["-keyout", key, "-out", `${base}.csr`],
    ]);
    const alternatives = names.map((name) =>
      `${/^[\d.]+$|:/.test(name) ? "IP" : "DNS"}:${name}`
    );
    await Deno.writeTextFile(
      `${base}.ext`,
      `subjectAltName=${alternatives.join(",")}\nextendedKeyUsage=${use}Auth\n`,
    );
    await run("openssl", [
      ...["x509", "-req", "-days", "2", "-in", `${base}.csr`, "-out", cert],
      ...["-CA", certPath, "-CAkey", keyPath, "-CAcreateserial"],
      ...["-extfile", `${base}.ext`],
    ]);
    return { cert, key };
  };
  const close = () => Deno.remove(folder, { recursive: true });
  return {
    certPath,
    certPem: await Deno.readTextFile(certPath),
    issue,
    close,
    [Symbol.asyncDispose]: close,
  };
}
