/** Errors on their way from a Worker: only plain data can be sent. @module */
import { ZtocError, type ZtocErrorCode } from "../../formats/ztoc/mod.ts";
import { FileError, type FileStep } from "../../host/files/mod.ts";
import { OsError } from "../../host/os/mod.ts";
import { LostZtocError } from "../store/mod.ts";
import { TreeCompileError } from "../tree/mod.ts";
import { OpeningError } from "./errors.ts";

/** What went wrong, as plain data. */
export type Failure =
  | {
    readonly kind: "ztoc";
    readonly code: ZtocErrorCode;
    readonly offset: number;
    readonly detail: string;
  }
  | { readonly kind: "tree"; readonly entry: number; readonly detail: string }
  | { readonly kind: "lost"; readonly folder: string }
  | {
    readonly kind: "os";
    readonly errno: number;
    readonly syscall: string;
    readonly subject: string;
  }
  | {
    readonly kind: "file";
    readonly step: FileStep;
    readonly path: string;
    readonly message: string;
    readonly code: string | null;
  }
  | { readonly kind: "other"; readonly message: string };

/** To be sent. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ZtocError) {
    const { code, offset, detail } = error;
    return { kind: "ztoc", code, offset, detail };
  }
  if (error instanceof TreeCompileError) {
    return { kind: "tree", entry: error.entry, detail: error.detail };
  }
  if (error instanceof LostZtocError) {
    return { kind: "lost", folder: error.folder };
  }
  if (error instanceof OsError) {
    const { errno, syscall, subject } = error;
    return { kind: "os", errno, syscall, subject };
  }
  if (error instanceof FileError) {
    const { step, path, code, cause } = error;
    return { kind: "file", step, path, code, message: String(cause) };
  }
  return { kind: "other", message: String(error) };
}

/** What was sent, as it was thrown. */
export function errorOf(failure: Failure): Error {
  switch (failure.kind) {
    case "ztoc":
      return new ZtocError(failure.code, failure.offset, failure.detail);
    case "tree":
      return new TreeCompileError(failure.entry, failure.detail);
    case "lost":
      return new LostZtocError(failure.folder);
    case "os":
      return new OsError(failure.errno, failure.syscall, failure.subject);
    case "file": {
      const { step, path, message, code } = failure;
      const cause = new Error(message);
      if (code !== null) Object.assign(cause, { code });
      return new FileError(step, path, cause);
    }
    case "other":
      return new OpeningError(failure.message);
  }
}
