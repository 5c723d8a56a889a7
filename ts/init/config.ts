/** Finds the configuration in a file that exports one, and edits it. */
import type {
  ArrayExpression,
  Expression,
  FunctionDeclaration,
  Node,
  ObjectExpression,
  Statement,
} from '@babel/types';
import { type Code, TooUnusual } from './code';
import { nameOf } from './imports';

/** What a file exports by default, also by `module.exports =`. */
export function defaultExport(code: Code): Expression | FunctionDeclaration {
  for (const statement of code.statements) {
    if (statement.type === 'ExportDefaultDeclaration') {
      const { declaration } = statement;
      if (declaration.type === 'ClassDeclaration' || declaration.type === 'TSDeclareFunction')
        break;
      return declaration;
    }
    const assigned = assignedExport(statement);
    if (assigned) return assigned;
  }
  throw new TooUnusual('it has no `export default` that can be followed');
}

function assignedExport(statement: Statement): Expression | undefined {
  if (statement.type !== 'ExpressionStatement') return undefined;
  const { expression } = statement;
  if (expression.type !== 'AssignmentExpression') return undefined;
  const { left } = expression;
  const isExports =
    left.type === 'MemberExpression' &&
    nameOf(left.object) === 'module' &&
    nameOf(left.property) === 'exports';
  return isExports ? expression.right : undefined;
}

/** The object that a file exports: through variables, `defineConfig(…)` and functions. */
export function configObject(code: Code): ObjectExpression {
  const found = followed(code, defaultExport(code));
  if (found.type === 'ObjectExpression') return found;
  throw new TooUnusual(`what it exports is not an object: ${brief(code, found)}`);
}

/** Follows an expression to the value that it names. */
export function followed(code: Code, node: Node): Node {
  switch (node.type) {
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSNonNullExpression':
      return followed(code, node.expression);
    case 'Identifier': {
      const value = variable(code, node.name);
      return value ? followed(code, value) : node;
    }
    case 'CallExpression': {
      const [options] = node.arguments;
      const isDefine = /^define\w*Config$/.test(nameOf(node.callee) ?? '');
      return isDefine && options ? followed(code, options) : node;
    }
    case 'ArrowFunctionExpression':
    case 'FunctionExpression':
    case 'FunctionDeclaration': {
      if (node.body.type !== 'BlockStatement') return followed(code, node.body);
      const last = node.body.body.at(-1);
      const isOnly = (code.textOf(node.body).match(/\breturn\b/g)?.length ?? 0) === 1;
      const returned = last?.type === 'ReturnStatement' ? last.argument : undefined;
      return isOnly && returned ? followed(code, returned) : node;
    }
    default:
      return node;
  }
}

/** The value of a constant that is declared at the top of the file. */
function variable(code: Code, name: string): Expression | undefined {
  for (const statement of code.statements) {
    const inner = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (inner?.type !== 'VariableDeclaration') continue;
    for (const { id, init } of inner.declarations) {
      if (id.type === 'Identifier' && id.name === name && init) return init;
    }
  }
  return undefined;
}

/** The array under a name; `undefined` when the object lacks it. */
export function arrayOf(
  code: Code,
  object: ObjectExpression,
  name: string,
): ArrayExpression | undefined {
  const value = code.property(object, name);
  const found = value && followed(code, value);
  if (!found || found.type === 'ArrayExpression') return found;
  throw new TooUnusual(`its ${name} is not a plain list: ${brief(code, found)}`);
}

/** The object under a name; `undefined` when the object lacks it. */
export function objectOf(
  code: Code,
  object: ObjectExpression,
  name: string,
): ObjectExpression | undefined {
  const value = code.property(object, name);
  const found = value && followed(code, value);
  if (!found || found.type === 'ObjectExpression') return found;
  throw new TooUnusual(`its ${name} is not a plain object: ${brief(code, found)}`);
}

/** Whether a list has a string, or the call of a function. */
export function has(array: ArrayExpression | undefined, wanted: string): boolean {
  return array?.elements.some((element) => element && isOne(element, wanted)) ?? false;
}

function isOne(element: Node, wanted: string): boolean {
  if (element.type === 'StringLiteral') return element.value === wanted;
  // A module with options: ['name', {}].
  if (element.type === 'ArrayExpression') {
    return element.elements[0]?.type === 'StringLiteral' && element.elements[0].value === wanted;
  }
  return element.type === 'CallExpression' && nameOf(element.callee) === wanted;
}

/** Adds a string to a list of the configuration, unless it is there. */
export function addName(code: Code, object: ObjectExpression, list: string, name: string): void {
  const array = arrayOf(code, object, list);
  const text = `${code.style.quote}${name}${code.style.quote}`;
  if (!array) code.addProperty(object, list, `[${text}]`);
  else if (!has(array, name)) code.addElement(array, text);
}

/** Adds the call of an imported function to a list of the configuration, unless it is there. */
export function addCall(
  code: Code,
  object: ObjectExpression,
  list: string,
  { name, source, local = name, options = '' }: Call,
): void {
  const array = arrayOf(code, object, list);
  const known = code.import(name, source, local);
  if (has(array, known)) return;
  const text = `${known}(${options})`;
  if (array) code.addElement(array, text);
  else code.addProperty(object, list, `[${text}]`);
}

/** A call in a list of plugins. */
export interface Call {
  /** What the module exports, or `default`. */
  name: string;
  source: string;
  /** The name in the file. */
  local?: string;
  options?: string;
}

/** The first characters of a node, for a message. */
export function brief(code: Code, node: Node): string {
  const text = code.textOf(node).replace(/\s+/g, ' ');
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
