/** Next.js: both wrappers in `next.config`, the start line in `instrumentation`, and the proxy. */
import type { CallExpression, Node } from '@babel/types';
import { type Code, placeOf, TooUnusual } from '../code';
import { defaultExport, followed } from '../config';
import type { Draft } from '../draft';
import { nameOf } from '../imports';
import { startIn } from '../start-line';
import { usesOf } from '../walk';
import { leaveWorkflowsAlone } from './next-proxy';

const CONFIG = `import { withHookline } from 'hookline/next';
import { withWorkflow } from 'workflow/next';

export default withWorkflow(withHookline({}));
`;
const CONFIG_BY_HAND = `import { withHookline } from 'hookline/next';
import { withWorkflow } from 'workflow/next';

export default withWorkflow(withHookline(nextConfig)); // nextConfig: what the file exports now
`;
const START = `export { register } from 'hookline/next';\n`;
const LINE = {
  exported: 'register',
  name: 'register',
  source: 'hookline/next',
  local: 'startHookline',
  whenMissing: START.trim(),
};
const START_BY_HAND = `import { register as startHookline } from 'hookline/next';

export async function register() {
  await startHookline();
  // ... what it does now
}
`;
const PROXY_BY_HAND = `export const config = {
  matcher: ['/((?!.well-known/workflow/).*)'], // every matcher has to leave this path out
};
`;

/** Plans a Next.js app. */
export function next(draft: Draft): string[] {
  const config = draft.findModule('next.config') ?? `next.config.${extension(draft, 'mjs')}`;
  draft.editOrCreate(config, CONFIG, wrapConfig, CONFIG_BY_HAND);
  // Next.js looks for both files beside `app/` or `pages/`.
  const root = draft.isFolder('src/app') || draft.isFolder('src/pages') ? 'src/' : '';
  const instrumentation =
    draft.findModule(`${root}instrumentation`) ??
    `${root}instrumentation.${extension(draft, 'js')}`;
  draft.editOrCreate(instrumentation, START, (code) => startIn(code, LINE), START_BY_HAND);
  const proxy = draft.findModule(`${root}proxy`, `${root}middleware`);
  if (proxy) draft.edit(proxy, leaveWorkflowsAlone, PROXY_BY_HAND);
  return [];
}

function extension(draft: Draft, other: string): string {
  return draft.isTypeScript() ? 'ts' : other;
}

/** Puts `withWorkflow(withHookline(…))` around what is exported, or what of it is missing. */
function wrapConfig(code: Code): void {
  const exported = defaultExport(code);
  const wrapped = wrappedBy(code, exported, 'withWorkflow');
  if (wrapped) {
    wrapInside(code, wrapped);
    return;
  }
  if (wrappedBy(code, exported, 'withHookline')) {
    throw new TooUnusual('withHookline is there without withWorkflow around it');
  }
  if (exported.type === 'FunctionDeclaration' && exported.id) {
    const { name } = exported.id;
    if (usesOf(name, code.statements) > 1) throw new TooUnusual(`it uses ${name} elsewhere too`);
  }
  const outer = code.import('withWorkflow', 'workflow/next');
  const inner = code.import('withHookline', 'hookline/next');
  code.wrap(exported, `${outer}(${inner}(`, exported.type === 'FunctionDeclaration' ? '));' : '))');
}

function wrapInside(code: Code, call: CallExpression): void {
  const [config] = call.arguments;
  if (config && wrappedBy(code, config, 'withHookline')) return;
  const inner = code.import('withHookline', 'hookline/next');
  if (config) code.wrap(config, `${inner}(`, ')');
  else code.insert(placeOf(call)[1] - 1, `${inner}()`);
}

/** The call of a wrapper in an exported expression, also inside of other wrappers. */
function wrappedBy(code: Code, node: Node, wrapper: string): CallExpression | undefined {
  const found = followed(code, node);
  if (found.type !== 'CallExpression') return undefined;
  if (nameOf(found.callee) === wrapper) return found;
  for (const inner of [found.callee, ...found.arguments]) {
    const call = wrappedBy(code, inner, wrapper);
    if (call) return call;
  }
  return undefined;
}
