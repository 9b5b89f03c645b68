/** Documents of Kubernetes' configuration: YAML, or JSON, which is YAML. @module */
import { parse } from "yaml";
import { LoginSetupError } from "./errors.ts";

const MAX_BYTES = 4 * 2 ** 20;

/** A table of a document. */
export type Table = Readonly<Record<string, unknown>>;

/** A value as a table; an empty one where it is none. */
export function tableOf(value: unknown): Table {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Table
    : {};
}

/** A value as a list of tables. */
export function tablesOf(value: unknown): Table[] {
  return Array.isArray(value) ? value.map(tableOf) : [];
}

/** A value as text; empty where it is none. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A value as a list of texts; others are passed over. */
export function textsOf(value: unknown): string[] {
  return Array.isArray(value)
    ? value.filter((one) => typeof one === "string")
    : [];
}

/** Reads a document. @throws LoginSetupError */
export function readDocument(path: string): Table {
  try {
    if (Deno.statSync(path).size > MAX_BYTES) {
      throw new LoginSetupError(`${path}: too large`);
    }
    return tableOf(parse(Deno.readTextFileSync(path)));
  } catch (error) {
    if (error instanceof LoginSetupError) throw error;
    // The parser's message quotes the file, which may hold a secret.
    const why = error instanceof Deno.errors.NotFound
      ? "is not there"
      : error instanceof Error && error.name.startsWith("YAML")
      ? "is no YAML"
      : "cannot be read";
    throw new LoginSetupError(`${path} ${why}`);
  }
}
