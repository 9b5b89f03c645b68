import { SnapshotError } from "./errors.ts";
import { type SnapshotInfo, TARGET_LABEL } from "./types.ts";

/*
 * containerd's filter language:
 *
 *   filter   := selector (',' selector)*            all must hold
 *   selector := path (operator value)?              without operator: the field is there
 *   path     := field ('.' field)*
 *   field    := quoted | [A-Za-z0-9_]+
 *   operator := '==' | '!=' | '~='                  '~=' is a regular expression
 *   value    := quoted | [^\s,]+                    a regular expression may stand in /…/ or |…|
 *   quoted   := '"' with Go's escapes '"'
 */

/** Whether a snapshot passes the filter. */
export type SnapshotFilter = (info: SnapshotInfo) => boolean;

/**
 * Parses containerd's filters. A snapshot passes if it matches any of them, or if there is none.
 * @throws SnapshotError `invalid-argument`; the message says where a filter is wrong.
 */
export function parseFilters(filters: readonly string[]): SnapshotFilter {
  if (filters.length === 0) return () => true;
  const parsed = filters.map((text) => new FilterParser(text).parse());
  return (info) => parsed.some((filter) => filter(info));
}

/**
 * The targets of which a snapshot must have one to pass: all filters name one. Null: any snapshot may pass.
 * @throws as `parseFilters`
 */
export function targetsOf(filters: readonly string[]): string[] | null {
  const targets = filters.map((text) => {
    const parser = new FilterParser(text);
    parser.parse();
    return parser.target;
  });
  return targets.length === 0 || targets.includes(null)
    ? null
    : targets.filter((target) => target !== null);
}

function field(info: SnapshotInfo, path: readonly string[]): string | null {
  switch (path[0]) {
    case "name":
      return info.name;
    case "parent":
      return info.parent;
    case "kind":
      return info.kind;
    case "labels":
      return info.labels[path.slice(1).join(".")] ?? null;
    default:
      return null;
  }
}

class FilterParser {
  readonly #text: string;
  #at = 0;
  /** What the target label must be; null: anything. */
  target: string | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): SnapshotFilter {
    if (this.#text.trim() === "") return () => true;
    const selectors = [this.#selector()];
    while (this.#take(/\s*,/y)) selectors.push(this.#selector());
    this.#take(/\s+/y);
    if (this.#at < this.#text.length) throw this.#wrong("',' or the end");
    return (info) => selectors.every((selector) => selector(info));
  }

  #selector(): SnapshotFilter {
    this.#take(/\s+/y);
    const path = [this.#field()];
    while (this.#take(/\./y)) path.push(this.#field());
    const operator = this.#take(/\s*(==|!=|~=)\s*/y)?.trim();
    switch (operator) {
      case undefined:
        return (info) => field(info, path) !== null;
      case "==": {
        const value = this.#value();
        const [first, ...label] = path;
        if (first === "labels" && label.join(".") === TARGET_LABEL) {
          this.target = value;
        }
        return (info) => field(info, path) === value;
      }
      case "!=": {
        const value = this.#value();
        return (info) => (field(info, path) ?? "") !== value;
      }
      default: {
        const pattern = this.#pattern();
        return (info) => {
          const value = field(info, path);
          return value !== null && pattern.test(value);
        };
      }
    }
  }

  #field(): string {
    const text = this.#quoted() ?? this.#take(/[A-Za-z0-9_]+/y);
    if (text === null) throw this.#wrong("a field name");
    return text;
  }

  #value(): string {
    const text = this.#quoted() ?? this.#take(/(?!")[^\s,]+/y);
    if (text === null) throw this.#wrong("a value");
    return text;
  }

  #pattern(): RegExp {
    const start = this.#at;
    const bare = this.#take(/\/[^/]*\/|\|[^|]*\|/y)?.slice(1, -1);
    try {
      return new RegExp(bare ?? this.#value());
    } catch (error) {
      if (error instanceof SnapshotError) throw error;
      this.#at = start;
      throw this.#wrong("a regular expression");
    }
  }

  #quoted(): string | null {
    const start = this.#at;
    const text = this.#take(/"(?:[^"\\]|\\.)*"/y);
    if (text === null) return null;
    const inner = text.slice(1, -1).replace(
      /\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)/g,
      (_, escape: string) => {
        if (escape.length > 1) {
          return String.fromCodePoint(parseInt(escape.slice(1), 16));
        }
        const plain = ESCAPES[escape];
        if (plain === undefined) {
          this.#at = start;
          throw this.#wrong(`no \\${escape}`);
        }
        return plain;
      },
    );
    return inner;
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return null;
    this.#at = pattern.lastIndex;
    return match[0];
  }

  #wrong(expected: string): SnapshotError {
    return new SnapshotError(
      "invalid-argument",
      "",
      `filter ${
        JSON.stringify(this.#text)
      }: expected ${expected} at ${this.#at}`,
    );
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
  "'": "'",
};
