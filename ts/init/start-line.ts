/** The start line, in a function that the framework calls when the server starts. */
import type {
  ArrowFunctionExpression,
  FunctionDeclaration,
  FunctionExpression,
  Statement,
} from '@babel/types';
import { type Code, placeOf, TooUnusual } from './code';
import { importedName, nameOf } from './imports';

/** Where the line goes, and what it calls. */
export interface StartLine {
  /** The function that the framework calls. */
  exported: string;
  /** The function that starts delivery, its module, and its name in the file. */
  name: string;
  source: string;
  local: string;
  /** What is added to a file that does not export the function. */
  whenMissing: string;
}

type Function = FunctionDeclaration | FunctionExpression | ArrowFunctionExpression;

/** Starts delivery in the function that a file exports, or adds the function. */
export function startIn(code: Code, line: StartLine): void {
  if (code.isCommonJs()) throw new TooUnusual('it is a CommonJS module');
  const { exported } = line;
  const own = code.statements.map((one) => exportedFunction(one, exported)).find(Boolean);
  const other = code.statements.find((one) => exportsName(one, exported));
  if (own) startFirst(code, own, line);
  else if (!other) code.append(line.whenMissing);
  else if (other.type !== 'ExportNamedDeclaration' || other.source?.value !== line.source) {
    throw new TooUnusual(`its ${exported} comes from elsewhere: ${code.textOf(other)}`);
  }
}

function exportsName(statement: Statement, name: string): boolean {
  if (statement.type === 'ExportAllDeclaration') return true;
  if (statement.type !== 'ExportNamedDeclaration') return false;
  return statement.specifiers.some((one) => nameOf(one.exported) === name);
}

/** The function of `export function name` or `export const name =`. */
function exportedFunction(statement: Statement, name: string): Function | undefined {
  if (statement.type !== 'ExportNamedDeclaration') return undefined;
  const { declaration } = statement;
  if (declaration?.type === 'FunctionDeclaration' && declaration.id?.name === name) {
    return declaration;
  }
  if (declaration?.type !== 'VariableDeclaration') return undefined;
  const found = declaration.declarations.find(({ id }) => nameOf(id) === name);
  if (!found) return undefined;
  const { init } = found;
  if (init?.type === 'ArrowFunctionExpression' || init?.type === 'FunctionExpression') return init;
  throw new TooUnusual(`its ${name} is not written as a function`);
}

function startFirst(code: Code, own: Function, { exported, name, source, local }: StartLine): void {
  const known = importedName(code.statements, name, source);
  if (known && code.textOf(own.body).includes(`${known}(`)) return;
  if (own.body.type !== 'BlockStatement') throw new TooUnusual(`its ${exported} has no block`);
  if (!own.async && own.returnType) {
    throw new TooUnusual(`its ${exported} is not async, and says what it returns`);
  }
  const start = code.import(name, source, local);
  if (!own.async) code.insert(placeOf(own)[0], 'async ');
  code.addFirstStatement(own.body, `await ${start}();`);
}
