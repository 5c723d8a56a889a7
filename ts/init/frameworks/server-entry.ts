/**
 * The file that makes a Hono, Express or Fastify server: Nitro serves what it exports, so it must
 * export the app instead of listening.
 */
import type { Node, Statement } from '@babel/types';
import { type Code, TooUnusual } from '../code';
import { brief } from '../config';
import type { Draft } from '../draft';
import { importedName, nameOf } from '../imports';
import { nodesIn, usesOf } from '../walk';

/** A server that Nitro can serve. */
export type Server = 'hono' | 'express' | 'fastify';

const NAMES = ['index', 'server', 'app', 'main'];

const EXPORTS: Record<Server, (app: string) => string> = {
  hono: (app) => `export default ${app};`,
  express: (app) => `export default ${app};`,
  fastify: (app) => `await ${app}.ready();\n\nexport default ${app}.routing;`,
};

/** The file that the app is started by; `undefined` when there is none yet. */
export function entryOf(draft: Draft): string | undefined {
  const { scripts = {}, main } = draft.manifest;
  const started = ['dev', 'start']
    .map((name) => /(?:^|\s)(?:\.\/)?([\w./-]+\.[cm]?[jt]s)\b/.exec(scripts[name] ?? '')?.[1])
    .filter((path) => path !== undefined);
  const named = [...started, ...(main ? [main.replace(/^\.\//, '')] : [])];
  return draft.find(...named) ?? draft.findModule(...NAMES.map((name) => `src/${name}`), ...NAMES);
}

/** Makes the file export the app, and listen no longer. */
export function exportApp(draft: Draft, path: string, server: Server): void {
  const byHand = `${EXPORTS[server]('app')} // instead of listening on a port\n`;
  draft.edit(path, (code) => replaceListening(code, server), byHand);
}

function replaceListening(code: Code, server: Server): void {
  if (code.isCommonJs()) throw new TooUnusual('it is a CommonJS module');
  const isExported = code.statements.some(({ type }) => type === 'ExportDefaultDeclaration');
  const listening = listeningIn(code, server);
  if (listening.length === 0 && isExported) return;
  if (isExported) throw new TooUnusual('it exports something by default, and listens too');
  const app = appOf(code, server);
  const [last, ...others] = listening.reverse();
  const text = code.statement(EXPORTS[server](app));
  if (last) code.replace(last, text);
  else code.append(text);
  for (const other of others) code.removeStatement(other);
  removeUnusedServe(code, listening);
}

/** The variable that holds the app. */
function appOf(code: Code, server: Server): string {
  const makers: Record<Server, (string | undefined)[]> = {
    hono: [importedName(code.statements, 'Hono', 'hono')],
    express: [importedName(code.statements, 'default', 'express')],
    fastify: [
      importedName(code.statements, 'default', 'fastify'),
      importedName(code.statements, 'fastify', 'fastify'),
      importedName(code.statements, 'Fastify', 'fastify'),
    ],
  };
  for (const statement of code.statements) {
    const inner = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (inner?.type !== 'VariableDeclaration') continue;
    for (const { id, init } of inner.declarations) {
      const maker = init && firstMaker(init);
      if (maker && makers[server].includes(maker) && id.type === 'Identifier') return id.name;
    }
  }
  throw new TooUnusual('it makes no app in a variable of the file');
}

/** The function or class by which an expression begins: `new Hono().get(…)`. */
function firstMaker(node: Node): string | undefined {
  if (node.type === 'NewExpression' || node.type === 'CallExpression') {
    return nameOf(node.callee) ?? firstMaker(node.callee);
  }
  if (node.type === 'AwaitExpression') return firstMaker(node.argument);
  return node.type === 'MemberExpression' ? firstMaker(node.object) : undefined;
}

/** The statements of the file that make it listen. */
function listeningIn(code: Code, server: Server): Statement[] {
  const serve = importedName(code.statements, 'serve', '@hono/node-server');
  const listens = (node: Node) =>
    [...nodesIn(node)].some(
      (one) =>
        one.type === 'CallExpression' &&
        ((server === 'hono' && serve !== undefined && nameOf(one.callee) === serve) ||
          (one.callee.type === 'MemberExpression' && nameOf(one.callee.property) === 'listen')),
    );
  const found = code.statements.filter((one) => !one.type.startsWith('Import') && listens(one));
  refuseMore(code, found, serve);
  return found.flatMap((statement) => {
    const name = declaredName(statement);
    if (name === undefined) return [statement];
    // `const start = async () => { … listen … }; start();`, or `const server = serve(…)`.
    const calls = code.statements.filter(
      (one) => one.type === 'ExpressionStatement' && firstMaker(one.expression) === name,
    );
    if (usesOf(name, code.statements) !== 1 + calls.length || calls.length > 1) {
      throw new TooUnusual(`${name}, which listens, is used in other places too`);
    }
    return [statement, ...calls];
  });
}

/** What may be lost with the statements that listen: saying so, and ending when it fails. */
const LOST = new Set([
  'listen',
  'log',
  'info',
  'warn',
  'error',
  'exit',
  'address',
  'catch',
  'then',
]);

/** Refuses statements that do more than listen, such as opening a database first. */
function refuseMore(code: Code, statements: Statement[], serve: string | undefined): void {
  if (usesOf('createServer', code.statements) > 0) {
    throw new TooUnusual('it makes the HTTP server itself');
  }
  const own = statements.map((one) => nameIfDeclared(one));
  for (const node of nodesIn(statements)) {
    if (node.type !== 'CallExpression' && node.type !== 'NewExpression') continue;
    const { callee } = node;
    const name = nameOf(callee.type === 'MemberExpression' ? callee.property : callee);
    const isHarmless =
      (callee.type === 'MemberExpression' && LOST.has(name ?? '')) ||
      (name !== undefined && [serve, 'Number', 'parseInt', ...own].includes(name));
    if (!isHarmless) throw new TooUnusual(`it does more than listen: ${brief(code, node)}`);
  }
}

function nameIfDeclared(statement: Statement): string | undefined {
  return /Declaration$/.test(statement.type) ? declaredName(statement) : undefined;
}

function declaredName(statement: Statement): string | undefined {
  if (statement.type === 'FunctionDeclaration') return statement.id?.name;
  if (statement.type === 'VariableDeclaration') {
    const [only, ...others] = statement.declarations;
    if (only && others.length === 0) return nameOf(only.id);
  }
  if (statement.type === 'ExpressionStatement' || statement.type === 'TryStatement')
    return undefined;
  throw new TooUnusual(`it listens in a ${statement.type}`);
}

function removeUnusedServe(code: Code, removed: Statement[]): void {
  for (const statement of code.statements) {
    if (statement.type !== 'ImportDeclaration') continue;
    if (statement.source.value !== '@hono/node-server') continue;
    const rest = code.statements.filter((one) => one !== statement && !removed.includes(one));
    const used = statement.specifiers.some(({ local }) => usesOf(local.name, rest) > 0);
    if (!used) code.removeStatement(statement);
  }
}
