/** Reads which names a module exports, and what others see of them. @module */
import { ts } from "@ts-morph/common";
import type { Export, Import } from "./facts.ts";

/** All names a module exports, its own and those it passes on. */
export function readExports(
  file: ts.SourceFile,
  imports: readonly Import[],
  lineOf: (node: ts.Node) => number,
): readonly Export[] {
  const uses = identifierCounts(file);
  const found: Export[] = [];
  const own = (
    name: string,
    node: ts.Node,
    isType: boolean,
    shape: ReadonlySet<string>,
  ) =>
    found.push({
      name,
      local: name,
      isType,
      from: null,
      shape,
      ownUses: (uses.get(name) ?? 1) - 1,
      line: lineOf(node),
    });
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) {
      found.push(...reExports(statement, imports, lineOf));
      continue;
    }
    if (!isExported(statement)) continue;
    if (ts.isVariableStatement(statement)) {
      for (const one of statement.declarationList.declarations) {
        for (const name of boundNames(one.name)) {
          own(name, one, false, shapeOf(one));
        }
      }
    } else if (isNamed(statement)) {
      const isType = ts.isInterfaceDeclaration(statement) ||
        ts.isTypeAliasDeclaration(statement);
      own(statement.name.text, statement, isType, shapeOf(statement));
    }
  }
  return found;
}

function reExports(
  statement: ts.ExportDeclaration,
  imports: readonly Import[],
  lineOf: (node: ts.Node) => number,
): readonly Export[] {
  const line = lineOf(statement);
  const at = statement.moduleSpecifier;
  const from =
    imports.find((one) =>
      one.kind === "export" && at !== undefined && one.line === lineOf(at)
    )?.target ?? null;
  const common = { from, shape: new Set<string>(), ownUses: 0, line };
  const clause = statement.exportClause;
  if (clause === undefined) {
    return [{ ...common, name: "*", local: "*", isType: false }];
  }
  if (ts.isNamespaceExport(clause)) {
    return [{ ...common, name: clause.name.text, local: "*", isType: false }];
  }
  return clause.elements.map((one) => ({
    ...common,
    name: one.name.text,
    local: (one.propertyName ?? one.name).text,
    isType: statement.isTypeOnly || one.isTypeOnly,
    line: lineOf(one),
  }));
}

function isExported(node: ts.Statement): boolean {
  return ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some((one) =>
      one.kind === ts.SyntaxKind.ExportKeyword
    );
}

function isNamed(
  node: ts.Node,
): node is ts.DeclarationStatement & { name: ts.Identifier } {
  const { name } = node as ts.DeclarationStatement;
  return name !== undefined && ts.isIdentifier(name);
}

function boundNames(name: ts.BindingName): readonly string[] {
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((one) =>
    ts.isOmittedExpression(one) ? [] : boundNames(one.name)
  );
}

/** Types named where others can see them: not in bodies, not in private members. */
function shapeOf(node: ts.Node): ReadonlySet<string> {
  const names = new Set<string>();
  function visit(at: ts.Node): void {
    if (ts.isBlock(at)) return;
    if (ts.isClassElement(at) && isHidden(at)) return;
    if (ts.isTypeReferenceNode(at)) names.add(rootName(at.typeName));
    if (ts.isTypeQueryNode(at)) names.add(rootName(at.exprName));
    if (ts.isExpressionWithTypeArguments(at)) {
      names.add(at.expression.getText());
    }
    ts.forEachChild(at, visit);
  }
  ts.forEachChild(node, visit);
  return names;
}

function isHidden(member: ts.ClassElement): boolean {
  return (member.name !== undefined && ts.isPrivateIdentifier(member.name)) ||
    (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) !== 0;
}

function rootName(name: ts.EntityName): string {
  return ts.isIdentifier(name) ? name.text : rootName(name.left);
}

function identifierCounts(file: ts.SourceFile): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  (function visit(node: ts.Node): void {
    if (ts.isIdentifier(node)) {
      counts.set(node.text, (counts.get(node.text) ?? 0) + 1);
    }
    ts.forEachChild(node, visit);
  })(file);
  return counts;
}
