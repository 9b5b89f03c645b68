/** What was done with a file when it failed. */
export type FileStep = "read" | "write" | "sync" | "rename" | "remove";

const WORDS: Readonly<Record<FileStep, string>> = {
  read: "cannot read",
  write: "cannot write",
  sync: "cannot put on disk",
  rename: "cannot put in place",
  remove: "cannot remove",
};

/** A file could not be read or written; the cause is the system's own error. */
export class FileError extends Error {
  static {
    this.prototype.name = "FileError";
  }

  /** The message says what was done with which file. @param cause the system's own error. */
  constructor(
    readonly step: FileStep,
    readonly path: string,
    cause: unknown,
  ) {
    super(`${WORDS[step]} ${path}: ${codeOf(cause) ?? cause}`, { cause });
  }

  /** `ENOSPC`, `EACCES`, …; null when the system did not say. */
  get code(): string | null {
    return codeOf(this.cause);
  }
}

function codeOf(cause: unknown): string | null {
  return cause instanceof Error && "code" in cause &&
      typeof cause.code === "string"
    ? cause.code
    : null;
}

/** Whether an error says that the disk, or what a user may have of it, is full; SQLite's, too. */
export function isFullDisk(error: unknown): boolean {
  const code = error instanceof FileError ? error.code : codeOf(error);
  return code === "ENOSPC" || code === "EDQUOT" ||
    (error instanceof Error &&
      /database or disk is full/.test(error.message));
}

/** Whether an error says that nothing can be written to that file system. */
export function isReadOnlyDisk(error: unknown): boolean {
  if (error instanceof FileError) return error.code === "EROFS";
  return codeOf(error) === "EROFS";
}
