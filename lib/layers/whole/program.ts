/** Layers that a program of this machine decompresses. @module */

import { endGroup } from "../../host/os/mod.ts";

/** A program that takes compressed bytes on its standard input and gives the others on its standard output. */
export interface Decompressor {
  /** Its absolute path: it is run as it is, without a shell. */
  readonly path: string;
  /** Its arguments. */
  readonly args: readonly string[];
}

/** A program did not decompress what it was given: the message says what it did. */
export class DecompressorError extends Error {
  static {
    this.prototype.name = "DecompressorError";
  }
}

/** Bounds of a program's work. */
export interface DecompressorLimits {
  /** The most that it may give, bytes. */
  readonly outputBytes: number;
  /** It is ended after so long in which it neither took nor gave a byte, ms. Default: a minute. */
  readonly stallMs?: number;
}

/** No format that layers have packs much better than deflate can: so many bytes in one. */
const MOST_FROM_ONE = 1032;
const STALL_MS = 60_000;
/** Of what a program says of itself, so much is told, bytes. */
const TOLD_BYTES = 400;
/** Hostile bytes pass through it, so it is nobody. */
const NOBODY = 65_534;

/** The most that a program may make of so many bytes. */
export function mostOutput(bytes: number): number {
  return bytes * MOST_FROM_ONE + 2 ** 20;
}

/**
 * What a program makes of a stream. It is started with the first read, as nobody, in an empty environment, and does not
 * outlive the stream. The given stream is read to its end, whatever the program takes of it.
 * @throws DecompressorError from the stream, or the given stream's own error.
 */
export function decompressBy(
  program: Decompressor,
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  limits: DecompressorLimits,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  return ReadableStream.from(new Run(program, limits).output(stream));
}

/** One run of a program. */
class Run {
  readonly #program: Decompressor;
  readonly #limits: DecompressorLimits;
  /** When it last took or gave a byte. */
  #movedMs = 0;
  /** It waits neither for whoever gives nor for whoever takes. */
  #isAsked = false;
  #lacksInput = false;
  #fault: string | null = null;
  #isOver = false;

  constructor(program: Decompressor, limits: DecompressorLimits) {
    this.#program = program;
    this.#limits = limits;
  }

  async *output(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const child = this.#spawn();
    const watch = this.#watch(child);
    const feeding = this.#feed(child, stream);
    feeding.catch(() => end(child)); // told below
    const saying = said(child.stderr);
    const reader = child.stdout.getReader();
    let given = 0;
    let hasEnded = false;
    try {
      for (;;) {
        this.#isAsked = true;
        this.#moved();
        const { done, value } = await reader.read();
        this.#isAsked = false;
        if (done) break;
        given += value.length;
        if (given > this.#limits.outputBytes) {
          throw this.#error(`gave more than ${this.#limits.outputBytes} bytes`);
        }
        yield value;
      }
      this.#isAsked = true; // it has to end, too
      this.#moved();
      await feeding;
      const { success, code, signal } = await child.status;
      hasEnded = true;
      if (this.#fault !== null) throw this.#error(this.#fault);
      if (success) return;
      const text = await saying;
      throw this.#error(
        `ended with ${signal ?? code}${text === "" ? "" : `: ${text}`}`,
      );
    } finally {
      this.#isOver = true;
      clearInterval(watch);
      if (!hasEnded) end(child);
      await reader.cancel().catch(() => {});
      await child.status;
    }
  }

  #spawn(): Deno.ChildProcess {
    const { path, args } = this.#program;
    try {
      return new Deno.Command(path, {
        args: [...args],
        cwd: "/",
        clearEnv: true,
        detached: true, // with a group of its own: what it has started ends with it
        uid: NOBODY,
        gid: NOBODY,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (cause) {
      throw this.#error("cannot be run", cause);
    }
  }

  /** Gives it the stream. What it does not take is read all the same: somebody hashes it. */
  async #feed(
    child: Deno.ChildProcess,
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    const writer = child.stdin.getWriter();
    let takes = true;
    const refuse = () => {
      takes = false; // its end says why
    };
    this.#lacksInput = true;
    for await (const chunk of stream) {
      this.#lacksInput = false;
      this.#moved();
      if (this.#isOver) return;
      if (takes) await writer.write(chunk).catch(refuse);
      this.#moved();
      this.#lacksInput = true;
    }
    this.#lacksInput = false;
    this.#moved();
    await writer.close().catch(refuse);
  }

  #watch(child: Deno.ChildProcess): ReturnType<typeof setInterval> {
    const { stallMs = STALL_MS } = this.#limits;
    return setInterval(() => {
      if (!this.#isAsked || this.#lacksInput) return;
      if (performance.now() - this.#movedMs < stallMs) return;
      this.#fault = `did nothing for ${stallMs / 1000} s`;
      end(child);
    }, stallMs / 4);
  }

  #moved(): void {
    this.#movedMs = performance.now();
  }

  #error(what: string, cause?: unknown): DecompressorError {
    return new DecompressorError(
      `${this.#program.path} ${what}`,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** Ends it and what it has started, which may have its pipes, too. */
function end({ pid }: Deno.ChildProcess): void {
  endGroup(pid);
}

/** The beginning of what it says; all of it is read, so that it never waits for that. */
async function said(stream: ReadableStream<Uint8Array>): Promise<string> {
  const told = new Uint8Array(TOLD_BYTES);
  let held = 0;
  try {
    for await (const chunk of stream) {
      const part = chunk.subarray(0, TOLD_BYTES - held);
      told.set(part, held);
      held += part.length;
    }
  } catch {
    // its end says more
  }
  return new TextDecoder().decode(told.subarray(0, held)).trim();
}
