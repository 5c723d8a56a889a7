/** What a file imports and declares at its top. */
import type { Node, Statement } from '@babel/types';

/** The local name under which a file imports a name; `name` is `default` for the default import. */
export function importedName(
  statements: Statement[],
  name: string,
  source: string,
): string | undefined {
  for (const statement of statements) {
    if (statement.type === 'ImportDeclaration' && statement.source.value === source) {
      if (statement.importKind === 'type') continue;
      for (const one of statement.specifiers) {
        const imported =
          one.type === 'ImportSpecifier'
            ? nameOf(one.imported)
            : one.type === 'ImportDefaultSpecifier'
              ? 'default'
              : '*';
        if (imported === name) return one.local.name;
      }
    }
    const required = requiredName(statement, name, source);
    if (required !== undefined) return required;
  }
  return undefined;
}

/** The same for `const { name } = require(source)`. */
function requiredName(statement: Statement, name: string, source: string): string | undefined {
  if (statement.type !== 'VariableDeclaration') return undefined;
  for (const { id, init } of statement.declarations) {
    if (init?.type !== 'CallExpression' || init.arguments[0]?.type !== 'StringLiteral') continue;
    if (init.callee.type !== 'Identifier' || init.callee.name !== 'require') continue;
    if (init.arguments[0].value !== source) continue;
    if (id.type === 'Identifier' && name === 'default') return id.name;
    if (id.type !== 'ObjectPattern') continue;
    for (const property of id.properties) {
      if (property.type !== 'ObjectProperty' || nameOf(property.key) !== name) continue;
      if (property.value.type === 'Identifier') return property.value.name;
    }
  }
  return undefined;
}

/** Whether a file imports anything from one of these modules. */
export function importsFrom(statements: Statement[], source: string): boolean {
  return statements.some((one) => one.type === 'ImportDeclaration' && one.source.value === source);
}

/** The names that a file declares or imports at its top. */
export function namesOf(statements: Statement[]): Set<string> {
  const names = new Set<string>();
  for (const statement of statements) {
    const inner =
      statement.type === 'ExportNamedDeclaration' && statement.declaration
        ? statement.declaration
        : statement;
    if (inner.type === 'ImportDeclaration') {
      for (const { local } of inner.specifiers) names.add(local.name);
    } else if (inner.type === 'VariableDeclaration') {
      for (const { id } of inner.declarations) addPattern(names, id);
    } else if ('id' in inner && inner.id && inner.id.type === 'Identifier') {
      names.add(inner.id.name);
    }
  }
  return names;
}

function addPattern(names: Set<string>, pattern: Node): void {
  if (pattern.type === 'Identifier') names.add(pattern.name);
  if (pattern.type !== 'ObjectPattern') return;
  for (const property of pattern.properties) {
    addPattern(names, property.type === 'RestElement' ? property.argument : property.value);
  }
}

/** The text of an identifier or a string; otherwise `undefined`. */
export function nameOf(node: Node): string | undefined {
  if (node.type === 'Identifier') return node.name;
  return node.type === 'StringLiteral' ? node.value : undefined;
}
