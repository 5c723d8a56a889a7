/** NestJS: the SDK's module, its compiler, and the start line after `listen`. */
import type { ObjectExpression, Statement } from '@babel/types';
import { type Code, TooUnusual } from '../code';
import { arrayOf } from '../config';
import type { Draft } from '../draft';
import { importedName, nameOf } from '../imports';
import { setTexts } from '../manifest';
import { nodesIn } from '../walk';

const START_BY_HAND = `import { startDelivery } from 'hookline';

await startDelivery(); // after app.listen(...)
`;
const MODULE = 'WorkflowModule';
const SOURCE = '@workflow/nest';
/** The one into which the compiler of `@workflow/nest` 4 can be loaded. */
const SWC = '1.15.3';

/** Plans a NestJS app. */
export function nest(draft: Draft): string[] {
  const isModule = draft.manifest.type === 'module';
  draft.needs(SOURCE, '4');
  draft.needsForBuild('@swc/cli');
  draft.needsForBuild('@swc/core', SWC);
  const swc = draft.versionOf('@swc/core');
  if (swc !== undefined && swc !== SWC) {
    draft.notes.push(`@swc/core has to be ${SWC}: the SDK's compiler loads in no other one.`);
  }
  const options = isModule ? '' : `{ moduleType: 'commonjs', distDir: 'dist' }`;
  const call = `forRoot(${options})`;
  draft.edit(
    'src/app.module.ts',
    (code) => importModule(code, call),
    `import { ${MODULE} } from '${SOURCE}';\n\nimports: [${MODULE}.${call}],\n`,
  );
  draft.edit('src/main.ts', startAfterListen, START_BY_HAND);
  setTexts(draft, 'nest-cli.json', ['compilerOptions'], { builder: 'swc' });
  setTexts(draft, 'package.json', ['scripts'], scripts(draft, isModule));
  return ['.nestjs', '.swcrc'];
}

/** The compiler's configuration holds paths of the machine, so each build writes it again. */
function scripts(draft: Draft, isModule: boolean): Record<string, string> {
  const init = `npx @workflow/nest init --force${isModule ? '' : ' --module commonjs'}`;
  const { scripts = {} } = draft.manifest;
  const prefixed = ['start', 'start:dev', 'start:debug']
    .filter((name) => /^nest start\b/.test(scripts[name] ?? ''))
    .map((name) => [name, `${init} && ${scripts[name]}`]);
  return { prebuild: scripts.prebuild ?? init, ...Object.fromEntries(prefixed) };
}

function importModule(code: Code, call: string): void {
  const options = moduleOptions(code);
  const known = importedName(code.statements, MODULE, SOURCE);
  const imports = arrayOf(code, options, 'imports');
  if (known && imports && code.textOf(imports).includes(known)) return;
  const text = code.statement(`${code.import(MODULE, SOURCE)}.${call}`);
  if (imports) code.addElement(imports, text);
  else code.addProperty(options, 'imports', `[${text}]`);
}

/** The object of the file's only `@Module(…)`. */
function moduleOptions(code: Code): ObjectExpression {
  const found = [...nodesIn(code.statements)].flatMap((node) =>
    node.type === 'Decorator' &&
    node.expression.type === 'CallExpression' &&
    nameOf(node.expression.callee) === 'Module'
      ? [node.expression.arguments[0]]
      : [],
  );
  const [options] = found;
  if (found.length === 1 && options?.type === 'ObjectExpression') return options;
  throw new TooUnusual('it has no single @Module({ … })');
}

function startAfterListen(code: Code): void {
  const known = importedName(code.statements, 'startDelivery', 'hookline');
  if (known && code.text.includes(`${known}()`)) return;
  const listening = [...nodesIn(code.statements)].filter(isListening) as Statement[];
  const [only] = listening;
  if (!only || listening.length > 1) throw new TooUnusual('it has no single `await app.listen(…)`');
  const start = code.import('startDelivery', 'hookline');
  code.addStatementAfter(only, `await ${start}();`);
}

function isListening(node: { type: string }): boolean {
  const { type, expression } = node as Extract<Statement, { type: 'ExpressionStatement' }>;
  if (type !== 'ExpressionStatement' || expression.type !== 'AwaitExpression') return false;
  const call = expression.argument;
  return (
    call.type === 'CallExpression' &&
    call.callee.type === 'MemberExpression' &&
    nameOf(call.callee.property) === 'listen'
  );
}
