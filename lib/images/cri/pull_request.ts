/** What a CRI PullImage request says of image and login. @module */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** A login as the kubelet gives it: CRI's AuthConfig. */
export interface CriAuth {
  /** Empty where there is none, as all the others. */
  readonly username: string;
  /** Of that user. */
  readonly password: string;
  /** Base64 of `name:password`. */
  readonly auth: string;
  /** The registry it is for; empty: the image's. */
  readonly serverAddress: string;
  /** A refresh token. */
  readonly identityToken: string;
  /** A bearer token. */
  readonly registryToken: string;
}

/** The parts of a request that are read here. All others pass by. */
export interface PullRequest {
  /** As the pod names it; empty where it says none. */
  readonly image: string;
  /** null: the pull is anonymous. */
  readonly auth: CriAuth | null;
  /** The pod's annotation `soci-deno.policy`. */
  readonly policy?: string;
}

/** An image's configuration has a label of this name, too. */
const POLICY_ANNOTATION = "soci-deno.policy";
/** Numbers of fields, the same in v1 and v1alpha2. */
const REQUEST = { image: 1, auth: 2, sandbox: 3 } as const;
const SANDBOX = { annotations: 7 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const IMAGE_SPEC = { image: 1 } as const;
const AUTH = [
  ...["username", "password", "auth", "serverAddress"] as const,
  ...["identityToken", "registryToken"] as const,
];

/** Reads a request. @throws RangeError, Error when it is no protobuf message */
export function readPullRequest(bytes: Uint8Array): PullRequest {
  let image = "";
  let auth: CriAuth | null = null;
  let policy: string | undefined;
  for (const [field, value] of messages(bytes)) {
    if (field === REQUEST.image) {
      image = textsOf(value).get(IMAGE_SPEC.image) ?? image;
    } else if (field === REQUEST.auth) {
      const texts = textsOf(value);
      auth = Object.fromEntries(
        AUTH.map((name, at) => [name, texts.get(at + 1) ?? ""]),
      ) as unknown as CriAuth;
    } else if (field === REQUEST.sandbox) {
      policy = policyIn(value) ?? policy;
    }
  }
  return { image, auth, ...(policy !== undefined && { policy }) };
}

/** What a pod's configuration says. */
function policyIn(sandbox: Uint8Array): string | undefined {
  let policy: string | undefined;
  for (const [field, value] of messages(sandbox)) {
    if (field !== SANDBOX.annotations) continue;
    const entry = textsOf(value);
    if (entry.get(ENTRY.key) === POLICY_ANNOTATION) {
      policy = entry.get(ENTRY.value) ?? "";
    }
  }
  return policy;
}

/** The fields of a message that hold bytes. */
function* messages(bytes: Uint8Array): Generator<[number, Uint8Array]> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) yield [field, reader.bytes()];
    else reader.skip(type, field);
  }
}

function textsOf(bytes: Uint8Array): Map<number, string> {
  const decoder = new TextDecoder();
  return new Map(
    [...messages(bytes)].map((
      [field, value],
    ) => [field, decoder.decode(value)]),
  );
}
