/** Fills `into` from a place in a file. @throws Error where the file ends before; Deno's errors */
export function readAt(
  file: Deno.FsFile,
  into: Uint8Array,
  at: number,
): void {
  file.seekSync(at, Deno.SeekMode.Start);
  for (let done = 0; done < into.length;) {
    const read = file.readSync(into.subarray(done));
    if (read === null) throw new Error(`a file ends at ${at + done}`);
    done += read;
  }
}
