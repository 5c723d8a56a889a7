/**
 * Edits of one source file that leave every other character as it was: Babel's parser finds the
 * places, magic-string writes there. It also reads JSON, which is an expression.
 */
import { type ParserPlugin, parse, parseExpression } from '@babel/parser';
import type {
  ArrayExpression,
  BlockStatement,
  Expression,
  Node,
  ObjectExpression,
  Statement,
} from '@babel/types';
import MagicString from 'magic-string';
import { importedName, namesOf } from './imports';
import { type Style, styleOf } from './style';

/** The file is written in a way that cannot be edited safely; the message says in which. */
export class TooUnusual extends Error {}

/** A node's place in the text. */
export function placeOf(node: Node): [number, number] {
  return [node.start as number, node.end as number];
}

type Parent = ArrayExpression | ObjectExpression;

/** A source file under edit. */
export class Code {
  readonly style: Style;
  /** The statements of the file, without its directives; empty for JSON. */
  readonly statements: Statement[];
  /** The value of a JSON file. */
  readonly json: Expression | undefined;
  private readonly edited: MagicString;
  /** What is added to arrays and objects, each with all of it at once. */
  private readonly added = new Map<Parent, string[]>();
  private readonly imports: string[] = [];
  private readonly afterImports: string[] = [];
  private readonly afterDirectives: number;

  /** @throws TooUnusual when the text cannot be parsed. */
  constructor(
    path: string,
    readonly text: string,
  ) {
    this.edited = new MagicString(text);
    try {
      if (/\.jsonc?$/.test(path)) {
        this.json = parseExpression(text);
        this.statements = [];
        this.style = styleOf(text, []);
        this.afterDirectives = 0;
        return;
      }
      const { program } = parse(text, {
        sourceType: 'module',
        allowReturnOutsideFunction: true,
        plugins: pluginsFor(path),
      });
      this.statements = program.body;
      this.style = styleOf(text, program.body);
      this.afterDirectives = program.directives.at(-1)?.end ?? program.interpreter?.end ?? 0;
    } catch (error) {
      throw new TooUnusual(`it cannot be parsed: ${(error as Error).message}`);
    }
  }

  /** The text with its edits; the last call on this object. */
  finish(): string {
    for (const [parent, added] of this.added) this.writeAdded(parent, added);
    if (this.imports.length + this.afterImports.length > 0) this.writeImports();
    return this.edited.toString();
  }

  /** The text of a node, as it was before the edits. */
  textOf(node: Node): string {
    return this.text.slice(...placeOf(node));
  }

  /** Puts text around a node. */
  wrap(node: Node, before: string, after: string): void {
    const [start, end] = placeOf(node);
    this.edited.appendLeft(start, before);
    this.edited.appendRight(end, after);
  }

  replace(node: Node, text: string): void {
    this.edited.overwrite(...placeOf(node), text);
  }

  /** Writes text at a place of the original text. */
  insert(at: number, text: string): void {
    this.edited.appendLeft(at, this.lines(text));
  }

  /** Removes a statement and the line that it leaves empty. */
  removeStatement(statement: Node): void {
    const [start, end] = placeOf(statement);
    const rest = /^[ \t]*\r?\n/.exec(this.text.slice(end));
    this.edited.remove(start, end + (rest?.[0].length ?? 0));
  }

  /** Writes statements at the end of the file, after an empty line. */
  append(text: string): void {
    const gap = this.text.trim() === '' ? '' : this.text.endsWith('\n') ? '\n' : '\n\n';
    this.edited.append(this.lines(`${gap}${this.statement(text)}\n`));
  }

  /** Writes a statement at the beginning of a function. */
  addFirstStatement(body: BlockStatement, text: string): void {
    const [start, end] = placeOf(body);
    const [first] = body.body;
    const outer = this.indentAt(start);
    const indent = outer + this.style.indent;
    const next = first ? placeOf(first)[0] : end - 1;
    const gap = this.text.slice(start + 1, next);
    const rest = gap.includes('\n') ? '' : `\n${first ? indent : outer}`;
    if (/^[ \t]+$/.test(gap)) this.edited.remove(start + 1, next);
    this.insert(start + 1, `\n${indent}${this.between(text, next)}${rest}`);
  }

  /** Writes a statement on the line after another one. */
  addStatementAfter(statement: Node, text: string): void {
    const [start, end] = placeOf(statement);
    const at = this.afterComment(end);
    this.insert(at, `\n${this.indentAt(start)}${this.between(text, at)}`);
  }

  /** A statement that the text at a place cannot continue. */
  private between(text: string, at: number): string {
    const statement = this.statement(text);
    return /^\s*[([`]/.test(this.text.slice(at)) ? statement.replace(/;?$/, ';') : statement;
  }

  /** The end of a line on which only a comment follows; otherwise the place itself. */
  private afterComment(place: number): number {
    return place + (/^[ \t]*\/\/.*/.exec(this.text.slice(place))?.[0].trimEnd().length ?? 0);
  }

  /** A statement in the style of the file. */
  statement(text: string): string {
    const quoted = text.replace(/'/g, this.style.quote);
    return this.style.semicolons ? quoted : quoted.replace(/;$/gm, '');
  }

  /** The white space before the first character of the line that holds a place. */
  indentAt(place: number): string {
    const line = this.text.slice(this.text.lastIndexOf('\n', place - 1) + 1);
    return /^[ \t]*/.exec(line)?.[0] ?? '';
  }

  /** Whether the file is a CommonJS module. */
  isCommonJs(): boolean {
    const isModule = this.statements.some(({ type }) => /^(?:Import|Export)/.test(type));
    return !isModule && /\brequire\(|\bmodule\.exports\b/.test(this.text);
  }

  /**
   * The local name of an import, which is added if the file lacks it; `name` is `default` for a
   * default import, whose local name is then `local`.
   *
   * @throws TooUnusual when the file uses the name for something else.
   */
  import(name: string, source: string, local = name): string {
    const known = importedName(this.statements, name, source);
    if (known !== undefined) return known;
    if (namesOf(this.statements).has(local)) {
      throw new TooUnusual(`it uses the name ${local} for something else`);
    }
    const named = name === local ? name : undefined;
    const wanted = this.isCommonJs()
      ? `const ${name === 'default' ? local : `{ ${named ?? `${name}: ${local}`} }`} = require('${source}');`
      : `import ${name === 'default' ? local : `{ ${named ?? `${name} as ${local}`} }`} from '${source}';`;
    this.imports.push(this.statement(wanted));
    return local;
  }

  /** Writes a statement after the imports and an empty line. */
  addAfterImports(text: string): void {
    this.afterImports.push(`\n${this.statement(text)}`);
  }

  private writeImports(): void {
    const text = [...this.imports, ...this.afterImports].join('\n');
    const last = this.statements.filter((one) => isImport(one)).at(-1);
    const [first] = this.statements;
    // A comment for the type checker has to stay the first thing of the file.
    const header = first?.leadingComments?.find(({ value }) => /^\s*@ts-/.test(value));
    if (last) this.insert(this.afterComment(placeOf(last)[1]), `\n${text}`);
    else if (this.afterDirectives > 0) this.insert(this.afterDirectives, `\n\n${text}`);
    else if (header) this.insert(header.end as number, `\n${text}`);
    else this.edited.prepend(this.lines(first ? `${text}\n\n` : `${text}\n`));
  }

  /** The value of a property; `undefined` when the object lacks it. */
  property(object: ObjectExpression, name: string): Expression | undefined {
    for (const property of object.properties) {
      if (property.type === 'SpreadElement' || property.computed) continue;
      const { key } = property;
      const is =
        (key.type === 'Identifier' && key.name === name) ||
        (key.type === 'StringLiteral' && key.value === name);
      if (!is) continue;
      if (property.type === 'ObjectProperty') return property.value as Expression;
      throw new TooUnusual(`its ${name} is a method`);
    }
    const spread = object.properties.find(({ type }) => type === 'SpreadElement');
    if (spread) throw new TooUnusual(`${this.textOf(spread)} may hold ${name}`);
    return undefined;
  }

  /** Adds a property at the end of an object; further lines of `value` are indented as it is. */
  addProperty(object: ObjectExpression, name: string, value: string): void {
    this.addLast(object, `${this.json ? JSON.stringify(name) : name}: ${value}`);
  }

  /** Adds an element at the end of an array. */
  addElement(array: ArrayExpression, text: string): void {
    this.addLast(array, text);
  }

  private addLast(parent: Parent, text: string): void {
    this.added.set(parent, [...(this.added.get(parent) ?? []), text]);
  }

  /** Writes what was added to an array or an object, in the way in which it is written. */
  private writeAdded(parent: Parent, added: string[]): void {
    const [start, end] = placeOf(parent);
    const children = parent.type === 'ArrayExpression' ? parent.elements : parent.properties;
    const last = children.at(-1);
    const inside = this.text.slice(start + 1, end - 1);
    const outer = this.indentAt(start);
    if (!last && inside.trim() === '' && this.isShort(parent, added)) {
      const [open, close] = parent.type === 'ArrayExpression' ? ['[', ']'] : ['{ ', ' }'];
      this.edited.overwrite(start, end, `${open}${added.join(', ')}${close}`);
      return;
    }
    const comma = parent.extra?.trailingComma as number | undefined;
    if (last && comma === undefined) this.edited.appendLeft(placeOf(last)[1], ',');
    const isOneLine = last && !this.isOnOwnLine(parent, children[0] as Node);
    const breaks = isOneLine && added.some((one) => one.includes('\n'));
    if (isOneLine && !breaks) {
      const at = comma === undefined ? placeOf(last)[1] : comma + 1;
      this.insert(at, ` ${added.join(', ')}`);
      return;
    }
    if (breaks) this.breakLines(parent, children as Node[]);
    const indent = last && !breaks ? this.indentAt(placeOf(last)[0]) : outer + this.style.indent;
    const lines = added.map((text) => `\n${indent}${text.replace(/\n/g, `\n${indent}`)}`).join(',');
    const ending = this.json || (last && comma === undefined && !breaks) ? '' : ',';
    // After the comments that follow the last child.
    const written = inside.trimEnd();
    if (written === '') this.edited.remove(start + 1, end - 1);
    const closing = written === '' || !/\n\s*$/.test(inside) ? `\n${outer}` : '';
    this.insert(start + 1 + written.length, `${lines}${ending}${closing}`);
  }

  /** Puts each child on a line of its own. */
  private breakLines(parent: Parent, children: Node[]): void {
    const indent = this.indentAt(placeOf(parent)[0]) + this.style.indent;
    let before = placeOf(parent)[0] + 1;
    for (const child of children) {
      const [start, end] = placeOf(child);
      const gap = this.text.slice(before, start).trimEnd();
      if (before + gap.length < start) this.edited.remove(before + gap.length, start);
      this.edited.appendRight(start, this.lines(`\n${indent}`));
      before = end;
    }
  }

  /** Whether an empty array or object gets its first children on one line. */
  private isShort(parent: Parent, added: string[]): boolean {
    if (added.some((text) => text.includes('\n'))) return false;
    const before = this.text.slice(0, placeOf(parent)[0]);
    return parent.type === 'ArrayExpression' || (!this.json && /[,:[{]\s*$/.test(before));
  }

  private isOnOwnLine(parent: Node, child: Node): boolean {
    return this.text.slice(placeOf(parent)[0], placeOf(child)[0]).includes('\n');
  }

  /** The same text with the line ends of the file. */
  private lines(text: string): string {
    return this.style.lineEnd === '\n' ? text : text.replace(/\r?\n/g, this.style.lineEnd);
  }
}

function isImport(statement: Statement): boolean {
  if (statement.type === 'ImportDeclaration') return true;
  if (statement.type !== 'VariableDeclaration') return false;
  return statement.declarations.every(
    ({ init }) =>
      init?.type === 'CallExpression' &&
      init.callee.type === 'Identifier' &&
      init.callee.name === 'require',
  );
}

function pluginsFor(path: string): ParserPlugin[] {
  const shared: ParserPlugin[] = ['decorators', 'explicitResourceManagement'];
  return /\.[cm]?ts$/.test(path) ? ['typescript', ...shared] : ['jsx', ...shared];
}
