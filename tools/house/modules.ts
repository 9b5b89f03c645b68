/**
 * Reads the facts about a module from its syntax: what it imports, what it exports, which of the
 * runtime's globals it uses. The module rules are checked against these facts.
 * @module
 */
import { dirname, join, normalize } from "node:path";
import { ts } from "@ts-morph/common";
import { readExports } from "./exported.ts";
import type { Import, ImportKind, Module } from "./facts.ts";

/** Globals that give access to the machine or the time. */
const REACHING = new Set([
  ...["fetch", "WebSocket", "EventSource", "caches", "localStorage", "console"],
  ...["setTimeout", "setInterval", "performance", "Temporal", "Worker"],
]);

/** Reads one module. @param path from the repository's root. */
export function readModule(path: string, text: string): Module {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineOf = (node: ts.Node) =>
    file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const imports: Import[] = [];
  const reaches: { what: string; line: number }[] = [];
  const ownAddress: number[] = [];
  const strayWorkers: number[] = [];

  function add(
    kind: ImportKind,
    literal: ts.Expression | undefined,
    names: readonly string[] | null,
    isType = false,
  ): void {
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return;
    const specifier = literal.text;
    const target = /^\.{1,2}\//.test(specifier)
      ? normalize(join(dirname(path), specifier))
      : null;
    const line = lineOf(literal);
    imports.push({ kind, specifier, target, names, isType, line });
  }

  function visit(node: ts.Node): void {
    if (ts.isImportDeclaration(node)) {
      const { importClause: clause, moduleSpecifier } = node;
      const isType = clause !== undefined && namesTypes(clause);
      add("import", moduleSpecifier, importedNames(node), isType);
    } else if (ts.isExportDeclaration(node)) {
      const isType = node.isTypeOnly || areTypes(node.exportClause);
      add("export", node.moduleSpecifier, exportedNames(node), isType);
    } else if (
      ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
    ) {
      add("import", node.argument.literal as ts.Expression, null, true);
    } else if (isImportCall(node)) {
      add("dynamic", node.arguments[0], null);
    } else if (isWorkerStart(node)) {
      const url = node.arguments?.[0] as ts.NewExpression;
      add("worker", url.arguments?.[0], null);
      node.arguments?.slice(1).forEach(visit);
      reaches.push({ what: "Worker", line: lineOf(node) });
      return; // starting a Worker is an allowed use of import.meta.url
    } else if (isOwnAddress(node)) {
      ownAddress.push(lineOf(node));
    } else if (isNew(node, "Worker")) {
      strayWorkers.push(lineOf(node));
    } else if (ts.isIdentifier(node)) {
      const what = reached(node);
      if (what !== null) reaches.push({ what, line: lineOf(node) });
    }
    ts.forEachChild(node, visit);
  }
  visit(file);
  return {
    path,
    lines: text.split("\n").length - (text.endsWith("\n") ? 1 : 0),
    opening: openingComment(text),
    imports,
    exports: readExports(file, imports, lineOf),
    reaches,
    ownAddress,
    strayWorkers,
  };
}

/** Reads every TypeScript module below `folders`. Paths are relative to `root` and sorted. */
export function readModules(
  root: URL,
  folders: readonly string[],
): readonly Module[] {
  return folders.flatMap((folder) => sourceFiles(root, folder))
    .sort()
    .map((path) =>
      readModule(path, Deno.readTextFileSync(new URL(path, root)))
    );
}

function sourceFiles(root: URL, path: string): readonly string[] {
  if (path.endsWith(".ts")) return [path];
  return [...Deno.readDirSync(new URL(path, root))].flatMap((entry) => {
    const inner = `${path}/${entry.name}`;
    if (entry.isDirectory) return sourceFiles(root, inner);
    // AssemblyScript files end in `.ts` too, but are not TypeScript.
    const isModule = inner.endsWith(".ts") && !inner.endsWith(".as.ts");
    return entry.isFile && isModule ? [inner] : [];
  });
}

function openingComment(text: string): string {
  const comment = text.match(/^\s*\/\*\*([\s\S]*?)\*\//)?.[1] ?? "";
  return comment.replaceAll(/^\s*\* ?/gm, "").trim();
}

function namesTypes(
  { isTypeOnly, name, namedBindings }: ts.ImportClause,
): boolean {
  return isTypeOnly || (name === undefined && areTypes(namedBindings));
}

/** Whether each name in braces is marked as a type. */
function areTypes(
  names: ts.NamedImportBindings | ts.NamedExportBindings | undefined,
): boolean {
  return names !== undefined &&
    (ts.isNamedImports(names) || ts.isNamedExports(names)) &&
    names.elements.length > 0 &&
    [...names.elements].every(({ isTypeOnly }) => isTypeOnly);
}

function importedNames(node: ts.ImportDeclaration): readonly string[] | null {
  const clause = node.importClause;
  if (clause === undefined) return [];
  const names = clause.name === undefined ? [] : ["default"];
  const bindings = clause.namedBindings;
  if (bindings === undefined) return names;
  if (ts.isNamespaceImport(bindings)) return null;
  return [
    ...names,
    ...bindings.elements.map((one) => (one.propertyName ?? one.name).text),
  ];
}

function exportedNames(node: ts.ExportDeclaration): readonly string[] | null {
  const clause = node.exportClause;
  if (clause === undefined || ts.isNamespaceExport(clause)) return null;
  return clause.elements.map((one) => (one.propertyName ?? one.name).text);
}

function isImportCall(node: ts.Node): node is ts.CallExpression {
  return ts.isCallExpression(node) &&
    node.expression.kind === ts.SyntaxKind.ImportKeyword;
}

function isOwnAddress(node: ts.Node): boolean {
  return ts.isPropertyAccessExpression(node) &&
    ts.isMetaProperty(node.expression) &&
    ["url", "dirname", "filename", "resolve"].includes(node.name.text);
}

function isNew(
  node: ts.Node | undefined,
  name: string,
): node is ts.NewExpression {
  return node !== undefined && ts.isNewExpression(node) &&
    node.expression.getText() === name;
}

function isWorkerStart(node: ts.Node): node is ts.NewExpression {
  if (!isNew(node, "Worker")) return false;
  const url = node.arguments?.[0];
  if (!isNew(url, "URL")) return false;
  const [path, base] = url.arguments ?? [];
  return path !== undefined && ts.isStringLiteralLike(path) &&
    base !== undefined && isOwnAddress(base);
}

/** The global that an identifier uses; `null` if it uses none that matters. */
function reached(node: ts.Identifier): string | null {
  const { parent, text } = node;
  const isMember = ts.isPropertyAccessExpression(parent) &&
    parent.name === node;
  const isName = (ts.isPropertyAssignment(parent) ||
    ts.isPropertyDeclaration(parent) || ts.isPropertySignature(parent) ||
    ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent) ||
    ts.isParameter(parent) || ts.isVariableDeclaration(parent)) &&
    parent.name === node;
  if (isMember || isName) return null;
  if (text === "Deno") {
    return ts.isPropertyAccessExpression(parent) && parent.expression === node
      ? `Deno.${parent.name.text}`
      : "Deno";
  }
  if (text === "Date") {
    if (ts.isPropertyAccessExpression(parent) && parent.name.text === "now") {
      return "Date.now";
    }
    return ts.isNewExpression(parent) && (parent.arguments?.length ?? 0) === 0
      ? "new Date()"
      : null;
  }
  return REACHING.has(text) && !ts.isTypeReferenceNode(parent) ? text : null;
}
