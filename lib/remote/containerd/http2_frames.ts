/** Frames of HTTP/2 (RFC 9113), as far as one request with one answer needs them. @module */

/** Types of frames. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  SETTINGS: 4,
  PING: 6,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Flags of frames; some bits mean one thing in one type and another in others. */
export const FLAG = {
  ACK: 1,
  END_STREAM: 1,
  END_HEADERS: 4,
  PADDED: 8,
} as const;

const HEAD_BYTES = 9;
/** The most bytes of a frame, where nobody has allowed more. */
const MAX_PAYLOAD_BYTES = 16_384;
/** Read at once: what a Unix socket holds. */
const BUFFER_BYTES = 256 * 1024;

/** One frame. */
export interface Http2Frame {
  /** See `FRAME`. */
  readonly type: number;
  /** See `FLAG`. */
  readonly flags: number;
  /** 0: the connection itself. */
  readonly stream: number;
  /** A view, valid until the next `fill`. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** The bytes of a frame. @param payload at most 16 384 bytes */
export function http2Frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEAD_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, (payload.length << 8) | type);
  view.setUint8(4, flags);
  view.setUint32(5, stream);
  frame.set(payload, HEAD_BYTES);
  return frame;
}

/** A field of a header block, for nobody to remember (RFC 7541, 6.2.2). */
export function headerField(name: string, value: string): number[] {
  return [0, ...headerText(name), ...headerText(value)];
}

function headerText(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>>= 7) length.push(rest % 128 + 128);
    length.push(rest);
  }
  return [...length, ...bytes];
}

/** Cuts what comes over a connection into frames. */
export class FrameReader {
  readonly #source: Pick<Deno.Conn, "read">;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  #from = 0;
  #end = 0;

  /** @param source stays the caller's. */
  constructor(source: Pick<Deno.Conn, "read">) {
    this.#source = source;
  }

  /** Waits for more bytes; frames given before are no longer valid. @returns false at the end. */
  async fill(): Promise<boolean> {
    this.#buffer.copyWithin(0, this.#from, this.#end);
    this.#end -= this.#from;
    this.#from = 0;
    const count = await this.#source.read(this.#buffer.subarray(this.#end));
    if (count === null) return false;
    this.#end += count;
    return true;
  }

  /** The next frame; null when it is not all here. @throws Error for one larger than allowed */
  next(): Http2Frame | null {
    const at = this.#from;
    if (this.#end - at < HEAD_BYTES) return null;
    const length = this.#view.getUint32(at) >>> 8;
    if (length > MAX_PAYLOAD_BYTES) {
      throw new Error(`a frame of ${length} bytes`);
    }
    const end = at + HEAD_BYTES + length;
    if (end > this.#end) return null;
    this.#from = end;
    return {
      type: this.#view.getUint8(at + 3),
      flags: this.#view.getUint8(at + 4),
      stream: this.#view.getUint32(at + 5) & 0x7fff_ffff,
      payload: this.#buffer.subarray(at + HEAD_BYTES, end),
    };
  }
}
