import { parseReference, RegistryClient } from "../../remote/registry/mod.ts";
import type { Rehearsal } from "../lazy/mod.ts";
import { madeUpLayer } from "./made_up_layer.ts";

const HOST = "warm-up.invalid";
const ROUNDS = 2;
/** What an answer of the network comes in. */
const PIECE_BYTES = 64 * 1024;
/**
 * Parts of so many bytes are answers of the engine itself, so that V8 has seen such, too: it compiles code for what it
 * has seen, and discards that at what it has not. Larger ones would take too long.
 */
const SMALL_BYTES = 2 ** 17;
const SMALL_PARTS = 8;

/** How layers are taken whole here. */
export interface WholeWarmUpOptions {
  /** Takes layers from a client, by the Workers that take others, and tells nobody. */
  readonly rehearsal: (client: RegistryClient) => Rehearsal;
  /** How many Workers are made ready: so many layers are taken at a time. */
  readonly workers: number;
}

/**
 * Takes made-up layers whole from a fake registry in memory, by the Workers that will take real ones: they are started,
 * and V8 has compiled their code and that of a download. Nothing is sent or shown, and no file stays.
 * @param signal ends it at once, because a real pull warms up the code better.
 * @returns the ztoc of such a layer.
 * @throws the signal's reason; ImageError where the disk has no room for such layers.
 */
export async function warmUpWhole(
  { rehearsal, workers }: WholeWarmUpOptions,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | null> {
  let ztoc: Uint8Array<ArrayBuffer> | null = null;
  const { descriptor: layer, diffId, bytes } = await madeUpLayer(async () => {
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal.throwIfAborted();
  });
  using client = new RegistryClient({
    fetch: (input, init) => partOf(bytes, input, init),
    logged: false,
  });
  const take = rehearsal(client);
  const reference = parseReference(`${HOST}/image@${layer.digest}`);
  for (let part = 0; part < SMALL_PARTS; part++) {
    const into = new Uint8Array(SMALL_BYTES);
    await client.range(
      ...[reference, layer.digest, 0, SMALL_BYTES, into, signal] as const,
      () => {},
      { isBulk: true },
    );
  }
  for (let round = 0; round < ROUNDS; round++) {
    const taken = await Promise.allSettled(
      Array.from(
        { length: workers },
        (_, number) => take({ reference, layer, diffId, number }, signal),
      ),
    );
    const failed = taken.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") throw failed.reason;
    ztoc = taken[0]?.status === "fulfilled" ? taken[0].value : ztoc;
  }
  return ztoc;
}

/** A part of a blob. */
async function partOf(
  bytes: Uint8Array<ArrayBuffer>,
  input: string | URL | Request,
  init?: RequestInit,
): Promise<Response> {
  const headers = input instanceof Request
    ? input.headers
    : new Headers(init?.headers);
  const [, from = "0", to = `${bytes.length - 1}`] =
    /^bytes=(\d+)-(\d+)$/.exec(headers.get("range") ?? "") ?? [];
  const part = bytes.subarray(Number(from), Number(to) + 1);
  const body = part.length <= SMALL_BYTES
    ? (await fetch(`data:;base64,${part.toBase64()}`)).body
    : streamOf(part);
  return new Response(body, {
    status: 206,
    headers: {
      "content-length": `${part.length}`,
      "content-range": `bytes ${from}-${to}/${bytes.length}`,
    },
  });
}

/** Like the body of an answer from the network, which comes in pieces into memory that is given. */
function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    autoAllocateChunkSize: PIECE_BYTES,
    async pull(controller) {
      await undefined;
      const request = controller.byobRequest!;
      const view = request.view as Uint8Array;
      const piece = bytes.subarray(at, at + Math.min(view.length, PIECE_BYTES));
      view.set(piece);
      at += piece.length;
      if (piece.length === 0) controller.close();
      request.respond(piece.length);
    },
  });
}
