/** The tar of a layer cannot be written: the message says what to do. */
export class TarSinkError extends Error {
  static {
    this.prototype.name = "TarSinkError";
  }
}

/** Takes a layer's tar while it is inflated. */
export interface TarSink extends Disposable {
  /** Takes the next bytes; they may be reused after the call. @throws TarSinkError */
  write(bytes: Uint8Array): void;
  /** All is here. @param sizeBytes of the tar to its end marker: what came behind it is padding. @throws TarSinkError */
  end(sizeBytes: number): void;
}
