/** Where there is no Node: bundles for a browser, a worker and an edge runtime can be built. */
import { createContext, runInContext } from 'node:vm';
import { type BuildOptions, build } from 'esbuild';
import { ROOT } from './support';

/** Bundles code for a platform without Node, and runs it there. */
async function run(code: string, options: BuildOptions): Promise<unknown> {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: ROOT, loader: 'ts' },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'bundle',
    logLevel: 'silent',
    ...options,
  });
  // No `require`, no `process`, no `Buffer`.
  const context = createContext({ TextEncoder, TextDecoder, URL });
  return runInContext(`${outputFiles?.[0]?.text}; bundle.result`, context);
}

const RUNTIMES: [string, BuildOptions][] = [
  ['a browser', { platform: 'browser' }],
  ['an edge function', { platform: 'neutral', conditions: ['edge-light', 'import'] }],
  ['a Cloudflare worker', { platform: 'neutral', conditions: ['workerd', 'worker', 'import'] }],
];

describe.each(RUNTIMES)('in %s', (_name, options) => {
  test('a function says that it cannot run there, when it is called', async () => {
    const code = `
      import { resumeHook } from 'hookline';
      const message = () => { try { resumeHook('t', {}); } catch (error) { return error.message; } };
      export const result = message();`;
    expect(await run(code, options)).toMatch(/^resumeHook\(\) of hookline cannot run here\. /);
  });

  test('classes of errors and types are usable', async () => {
    const code = `
      import { HookNotFoundError, type Hook } from 'hookline';
      const name = (hook: Hook) => hook.hookId;
      export const result = [new HookNotFoundError('t').name, name({ hookId: 'h' } as Hook)];`;
    expect(await run(code, options)).toEqual(['HookNotFoundError', 'h']);
  });
});

test('Next.js can bundle the instrumentation for the edge runtime, where it does nothing', async () => {
  const code = `
    import { register } from 'hookline/next';
    export const result = register();`;
  const options: BuildOptions = {
    platform: 'neutral',
    conditions: ['edge-light', 'import'],
    define: { 'process.env': '{"NEXT_RUNTIME":"edge"}' },
  };
  await expect(run(code, options)).resolves.toBeUndefined();
});
