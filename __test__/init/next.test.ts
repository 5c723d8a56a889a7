/** `init` in Next.js apps that are not as the starter makes them. */
import { applied, type Files, planOf, written } from './planning';

const APP = {
  'package.json': '{ "dependencies": { "next": "16.4.3" } }',
  'tsconfig.json': '{}',
  'app/layout.tsx': '',
};
const IMPORTS = `import { withWorkflow } from 'workflow/next';
import { withHookline } from 'hookline/next';
`;
const planWith = (files: Files) => planOf({ ...APP, ...files });
const textOf = (path: string, text: string) => written(planWith({ [path]: text }))[path];
const leftByHand = (path: string, text: string) => {
  const { byHand, changes } = planWith({ [path]: text });
  expect(changes.map((one) => one.path)).not.toContain(path);
  return byHand;
};

describe('next.config', () => {
  test('an app without one gets one', () => {
    expect(written(planOf(APP))['next.config.ts']).toBe(
      `import { withHookline } from 'hookline/next';
import { withWorkflow } from 'workflow/next';

export default withWorkflow(withHookline({}));
`,
    );
  });

  test.each([
    [
      'an object',
      'export default { a: 1 };\n',
      'export default withWorkflow(withHookline({ a: 1 }));\n',
    ],
    [
      'an object with its type',
      'export default { a: 1 } satisfies NextConfig;\n',
      'export default withWorkflow(withHookline({ a: 1 } satisfies NextConfig));\n',
    ],
    [
      'an arrow function',
      'export default async (phase) => ({ phase });\n',
      'export default withWorkflow(withHookline(async (phase) => ({ phase })));\n',
    ],
    [
      'a function',
      'export default function config(phase) {\n  return { phase };\n}\n',
      'export default withWorkflow(withHookline(function config(phase) {\n  return { phase };\n}));\n',
    ],
    [
      'what another wrapper makes',
      'export default withMDX(nextConfig);\n',
      'export default withWorkflow(withHookline(withMDX(nextConfig)));\n',
    ],
    [
      'what several wrappers make',
      'export default [withA, withB].reduce((it, wrap) => wrap(it), {});\n',
      'export default withWorkflow(withHookline([withA, withB].reduce((it, wrap) => wrap(it), {})));\n',
    ],
  ])('%s is wrapped', (_what, before, after) => {
    expect(textOf('next.config.ts', before)).toBe(`${IMPORTS}\n${after}`);
  });

  test('a CommonJS module is wrapped by require', () => {
    const text = `/** @type {import('next').NextConfig} */
const nextConfig = {};

module.exports = nextConfig;
`;
    expect(textOf('next.config.js', text)).toBe(`const { withWorkflow } = require('workflow/next');
const { withHookline } = require('hookline/next');

/** @type {import('next').NextConfig} */
const nextConfig = {};

module.exports = withWorkflow(withHookline(nextConfig));
`);
  });

  test.each([
    ['withWorkflow(nextConfig)', 'withWorkflow(withHookline(nextConfig))'],
    ['withWorkflow()', 'withWorkflow(withHookline())'],
    [
      'withSentryConfig(withWorkflow(nextConfig), {})',
      'withSentryConfig(withWorkflow(withHookline(nextConfig)), {})',
    ],
    ['withWorkflow(withMDX(nextConfig))', 'withWorkflow(withHookline(withMDX(nextConfig)))'],
  ])('%s gets the inner wrapper only', (before, after) => {
    const text = (value: string) =>
      `import { withWorkflow } from 'workflow/next';\n\nexport default ${value};\n`;
    expect(textOf('next.config.ts', text(before))).toBe(
      text(after).replace('\n\n', "\nimport { withHookline } from 'hookline/next';\n\n"),
    );
  });

  test('both wrappers, also through a variable, are left as they are', () => {
    const text = `${IMPORTS}
const config = withWorkflow(withHookline({}));
export default config;
`;
    expect(textOf('next.config.ts', text)).toBeUndefined();
  });

  test.each([
    ['a class', 'export default class {}\n'],
    ['a name from elsewhere', "export { config as default } from './config';\n"],
    [
      'our wrapper alone',
      "import { withHookline } from 'hookline/next';\nexport default withHookline({});\n",
    ],
    ['another withWorkflow', 'const withWorkflow = (x) => x;\nexport default {};\n'],
    ['a function that is used elsewhere', 'export default function config() {}\nconfig.a = 1;\n'],
    ['no JavaScript', 'export default {{\n'],
  ])('%s is left to a person, with what to write', (_what, text) => {
    const [only, ...others] = leftByHand('next.config.ts', text);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ path: 'next.config.ts', why: expect.any(String) });
    expect(only?.code).toContain('withWorkflow(withHookline(nextConfig))');
  });

  test('line ends, quotes and missing semicolons stay as they are', () => {
    const text = 'import a from "a"\r\n\r\nexport default a("b")\r\n';
    expect(textOf('next.config.ts', text)).toBe(
      'import a from "a"\r\nimport { withWorkflow } from "workflow/next"\r\nimport { withHookline } from "hookline/next"\r\n\r\nexport default withWorkflow(withHookline(a("b")))\r\n',
    );
  });
});

describe('instrumentation', () => {
  const PATH = 'instrumentation.ts';
  const IMPORT = "import { register as startHookline } from 'hookline/next';\n";

  test.each([
    [
      'an async function',
      'export async function register() {\n  await other();\n}\n',
      'export async function register() {\n  await startHookline();\n  await other();\n}\n',
    ],
    [
      'a function',
      'export function register() {\n  other();\n}\n',
      'export async function register() {\n  await startHookline();\n  other();\n}\n',
    ],
    [
      'an empty function',
      'export async function register() {}\n',
      'export async function register() {\n  await startHookline();\n}\n',
    ],
    [
      'a function on one line',
      'export function register() { other(); }\n',
      'export async function register() {\n  await startHookline();\n  other(); }\n',
    ],
    [
      'an arrow function',
      'export const register = async () => {\n    await other();\n};\n',
      'export const register = async () => {\n    await startHookline();\n    await other();\n};\n',
    ],
  ])('%s of its own starts delivery first', (_what, before, after) => {
    expect(textOf(PATH, before)).toBe(`${IMPORT}\n${after}`);
  });

  test('without register, ours is exported beside what is there', () => {
    const text = 'export const onRequestError = () => {};\n';
    expect(textOf(PATH, text)).toBe(`${text}\nexport { register } from 'hookline/next';\n`);
  });

  test('Next.js 15 and 16 know the same file in JavaScript', () => {
    const plan = planWith({ 'instrumentation.js': 'export function register() {}\n' });
    expect(Object.keys(written(plan))).toContain('instrumentation.js');
    expect(Object.keys(written(plan))).not.toContain('instrumentation.ts');
  });

  test.each([
    "export { register } from './monitoring';\n",
    "export * from './monitoring';\n",
    'export const register = init;\n',
    'export const register = () => init();\n',
    'export function register(): void {}\n',
    'module.exports = { register() {} };\n',
  ])('%j is left to a person', (text) => {
    expect(leftByHand(PATH, text)).toMatchObject([{ path: PATH }]);
  });
});

describe.each(['proxy.ts', 'middleware.ts'])('%s', (path) => {
  const withConfig = (config: string) =>
    `export function proxy() {}\n\nexport const config = { matcher: ${config} };\n`;

  test.each([
    ["['/((?!api|_next/static).*)']", "['/((?!.well-known/workflow/|api|_next/static).*)']"],
    ["'/((?!_next).*)'", "'/((?!.well-known/workflow/|_next).*)'"],
    [
      "[{ source: '/((?!api).*)', missing: [] }, '/about']",
      "[{ source: '/((?!.well-known/workflow/|api).*)', missing: [] }, '/about']",
    ],
    [
      "['/((?!_next|[^?]*\\\\.(?:html?|css|js(?!on))).*)', '/(api|trpc)(.*)']",
      "['/((?!.well-known/workflow/|_next|[^?]*\\\\.(?:html?|css|js(?!on))).*)', '/(api|trpc)(.*)']",
    ],
  ])('the matcher %s leaves the workflow routes alone', (before, after) => {
    expect(textOf(path, withConfig(before))).toBe(withConfig(after));
  });

  test.each([
    "['/((?!api|.well-known/workflow/).*)']",
    "['/dashboard/:path*', '/(api|trpc)(.*)', '/']",
    "['/((?!api|\\\\.well-known).*)']",
  ])('the matcher %s is left as it is', (matcher) => {
    expect(textOf(path, withConfig(matcher))).toBeUndefined();
    expect(planWith({ [path]: withConfig(matcher) }).byHand).toEqual([]);
  });

  test('without a matcher of its own, it gets one', () => {
    const text = 'export function proxy() {}\n';
    expect(textOf(path, text)).toBe(
      `${text}\nexport const config = { matcher: ['/((?!.well-known/workflow/).*)'] };\n`,
    );
  });

  test.each(["['/:path*']", "'/(.*)'", 'matchers', '[prefix + path]'])(
    'the matcher %s is left to a person',
    (matcher) => {
      const [only] = leftByHand(path, withConfig(matcher));
      expect(only?.code).toContain('(?!.well-known/workflow/)');
    },
  );
});

test('in src/, the files beside the app count', () => {
  const files = { ...APP, 'src/app/page.tsx': '', 'src/proxy.ts': 'export function proxy() {}\n' };
  expect(Object.keys(written(planOf(files)))).toEqual([
    '.gitignore',
    'next.config.ts',
    'src/instrumentation.ts',
    'src/proxy.ts',
  ]);
  expect(planOf(applied(files)).changes).toEqual([]);
});
