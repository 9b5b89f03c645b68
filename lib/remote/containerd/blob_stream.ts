/**
 * Reads blobs from containerd's content service with little work: just enough HTTP/2 and gRPC for the
 * one method `Read`. A general client makes an event and several objects of every 16 KiB, which takes six
 * times as much of the processor, and most of what indexing from containerd costs more than from a
 * registry.
 *
 * It knows no errors. Where anything is not as expected it ends early, and its caller asks for the rest
 * by the general client, which says what is wrong.
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { logger } from "../../telemetry/mod.ts";
import { ReadContentRequestSchema } from "./gen/containerd/services/content/v1/content_pb.ts";
import {
  FLAG,
  FRAME,
  FrameReader,
  headerField,
  http2Frame,
} from "./http2_frames.ts";
import { GRPC_PREFIX_BYTES, ReadAnswers } from "./read_answers.ts";

const log = logger("containerd");

/** What to read, and from where. */
export interface BlobStreamOptions {
  readonly socketPath: string;
  readonly namespace: string;
  readonly digest: string;
  readonly offset: number;
  /** Bytes wanted; the stream gives no more. */
  readonly length: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Bytes that containerd may send before we have taken them. It stops at this many, and we tell it at every
 * quarter that there is room again.
 */
const WINDOW_BYTES = 4 * 2 ** 20;
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const DEFAULT_WINDOW_BYTES = 65_535;
const SETTING = { ENABLE_PUSH: 2, INITIAL_WINDOW_SIZE: 4 } as const;
const STREAM = 1;
const NOTHING = new Uint8Array(0);

/** The bytes of a blob, in pieces of their own: all of them, or as many as came without a hitch. */
export async function* streamBlob(
  options: BlobStreamOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const { socketPath, signal, length } = options;
  let connection: Deno.UnixConn | null = null;
  const close = () => {
    connection?.close();
    connection = null;
  };
  let received = 0;
  try {
    connection = await Deno.connect({ transport: "unix", path: socketPath });
    if (signal?.aborted) return;
    signal?.addEventListener("abort", close, { once: true });
    for await (const piece of answers(connection, options)) {
      received += piece.length;
      if (received > length) return;
      yield piece;
    }
  } catch (error) {
    log.debug("a blob is read on in the ordinary way", {
      blob: options.digest,
      received,
      error: String(error),
    });
  } finally {
    signal?.removeEventListener("abort", close);
    close();
  }
}

async function* answers(
  connection: Deno.UnixConn,
  options: BlobStreamOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const send = async (...frames: Uint8Array[]) => {
    for (const frame of frames) {
      for (let at = 0; at < frame.length;) {
        at += await connection.write(frame.subarray(at));
      }
    }
  };
  await send(
    PREFACE,
    settings([SETTING.ENABLE_PUSH, 0], [
      SETTING.INITIAL_WINDOW_SIZE,
      WINDOW_BYTES,
    ]),
    room(0, WINDOW_BYTES - DEFAULT_WINDOW_BYTES),
    http2Frame(FRAME.HEADERS, FLAG.END_HEADERS, STREAM, headers(options)),
    http2Frame(FRAME.DATA, FLAG.END_STREAM, STREAM, question(options)),
  );
  const reader = new FrameReader(connection);
  const messages = new ReadAnswers();
  let taken = 0;
  while (await reader.fill()) {
    for (let frame = reader.next(); frame !== null; frame = reader.next()) {
      const { type, flags, stream, payload } = frame;
      switch (type) {
        case FRAME.DATA:
          if (stream !== STREAM || flags & FLAG.PADDED) {
            throw new Error("data of another form");
          }
          taken += payload.length;
          yield* messages.push(payload);
          if (flags & FLAG.END_STREAM) return;
          break;
        case FRAME.HEADERS:
          // The answer's; or what became of it, which the number of bytes tells well enough.
          if (flags & FLAG.END_STREAM) return;
          break;
        case FRAME.SETTINGS:
        case FRAME.PING:
          if (!(flags & FLAG.ACK)) {
            const echo = type === FRAME.PING ? payload.slice() : NOTHING;
            await send(http2Frame(type, FLAG.ACK, 0, echo));
          }
          break;
        case FRAME.WINDOW_UPDATE:
        case FRAME.CONTINUATION:
          break;
        default: // RST_STREAM, GOAWAY, or what nobody asked for
          throw new Error(`a frame of type ${type}`);
      }
    }
    if (taken > WINDOW_BYTES / 4) {
      await send(room(0, taken), room(STREAM, taken));
      taken = 0;
    }
  }
}

function settings(
  ...values: readonly (readonly [key: number, value: number])[]
): Uint8Array {
  const payload = new Uint8Array(6 * values.length);
  const view = new DataView(payload.buffer);
  for (const [i, [key, value]] of values.entries()) {
    view.setUint16(6 * i, key);
    view.setUint32(6 * i + 2, value);
  }
  return http2Frame(FRAME.SETTINGS, 0, 0, payload);
}

/** Tells that so many more bytes may come; of stream 0: of all streams together. */
function room(stream: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, bytes);
  return http2Frame(FRAME.WINDOW_UPDATE, 0, stream, payload);
}

function headers({ namespace }: BlobStreamOptions): Uint8Array {
  return Uint8Array.from([
    ...headerField(":method", "POST"),
    ...headerField(":scheme", "http"),
    ...headerField(":path", "/containerd.services.content.v1.Content/Read"),
    ...headerField(":authority", "localhost"),
    ...headerField("content-type", "application/grpc"),
    ...headerField("te", "trailers"),
    ...headerField("containerd-namespace", namespace),
  ]);
}

/** The request as gRPC frames it: not compressed, its length, itself. */
function question({ digest, offset, length }: BlobStreamOptions): Uint8Array {
  const message = toBinary(
    ReadContentRequestSchema,
    create(ReadContentRequestSchema, {
      digest,
      offset: BigInt(offset),
      size: BigInt(length),
    }),
  );
  const framed = new Uint8Array(GRPC_PREFIX_BYTES + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, GRPC_PREFIX_BYTES);
  return framed;
}
