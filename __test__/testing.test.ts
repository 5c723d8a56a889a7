/**
 * `hookline/testing` as users have it: in their runner, with its default configuration, in their
 * own project.
 */
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cleanUp, newFolder, ROOT, runNode } from './support';

afterAll(cleanUp);

const MODULES = join(ROOT, 'node_modules');
const JEST = join(MODULES, 'jest', 'bin', 'jest.js');
const VITEST = join(MODULES, 'vitest', 'vitest.mjs');
/**
 * Variables that the runner of this test sets for its children must not reach the runner in the
 * child.
 */
const ENV = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(JEST|NODE_OPTIONS|NODE_ENV|WORKFLOW_)/.test(name),
  ),
);

/** The installed SDKs, and where the packages of each are. */
const SDKS = { workflow: MODULES, 'workflow-5': join(MODULES, 'workflow-5', 'node_modules') };
type Sdk = keyof typeof SDKS;

/** A project in a folder of its own with this package and an SDK installed in it. */
function project(tests: string, sdk: Sdk = 'workflow'): string {
  const folder = newFolder();
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'hookline'), { recursive: true });
  for (const name of readdirSync(MODULES)) {
    if (!name.startsWith('.') && !['hookline', 'workflow', '@workflow'].includes(name)) {
      symlinkSync(join(MODULES, name), join(modules, name));
    }
  }
  symlinkSync(join(MODULES, sdk), join(modules, 'workflow'));
  symlinkSync(join(SDKS[sdk], '@workflow'), join(modules, '@workflow'));
  for (const part of ['dist', 'native', 'package.json']) {
    cpSync(join(ROOT, part), join(modules, 'hookline', part), { recursive: true });
  }
  cpSync(join(ROOT, '__test__', 'runners', tests), folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"private": true}');
  return folder;
}

/** A runner on a machine that has much else to do. */
const RUN_LIMIT_MS = 170_000;
const TEST_LIMIT_MS = 180_000;

async function run(folder: string, args: string[], env: object = {}) {
  const options = { cwd: folder, env: { ...ENV, ...env }, timeout: RUN_LIMIT_MS };
  const { code, stdout, stderr } = await runNode(args, options);
  return { code, output: stdout + stderr };
}

test(
  'Jest, as it comes: files in parallel, modules reset, nothing left open',
  async () => {
    const { code, output } = await run(project('jest'), [
      JEST,
      '--maxWorkers=2',
      '--detectOpenHandles',
    ]);
    expect(output).toMatch(/Tests: +6 passed, 6 total/);
    expect(output).not.toMatch(
      /open handle|did not exit|failed to exit gracefully|force exited|JEST-01/i,
    );
    expect(code).toBe(0);
  },
  TEST_LIMIT_MS,
);

test(
  'Jest in one process: files after each other do not see each other',
  async () => {
    const { code, output } = await run(project('jest'), [JEST, '--runInBand']);
    expect({ code, passed: /Tests: +6 passed, 6 total/.test(output), output }).toMatchObject({
      code: 0,
      passed: true,
    });
  },
  TEST_LIMIT_MS,
);

test.each(['forks', 'threads', 'vmThreads'])(
  'Vitest with %s',
  async (pool) => {
    const { code, output } = await run(project('vitest'), [VITEST, 'run', '--pool', pool]);
    expect({ code, passed: /Tests .*5 passed/.test(output), output }).toMatchObject({
      code: 0,
      passed: true,
    });
    expect(output).not.toMatch(/close timed out|hanging/i);
  },
  TEST_LIMIT_MS,
);

test(
  'node:test, with the real workflows of an app',
  async () => {
    const builder = pathToFileURL(join(ROOT, 'scripts', 'build-workflows.mjs')).href;
    const fixtures = JSON.stringify(join(ROOT, '__test__', 'fixtures'));
    const build = `console.log(await (await import('${builder}')).buildWorkflows(${fixtures}))`;
    const built = await runNode(['--input-type=module', '--eval', build]);
    const env = { BUNDLES: built.stdout.trim() };
    const { code, output } = await run(project('node'), ['--test'], env);
    expect({
      code,
      passed: /^# pass 11$/m.test(output) || /ℹ pass 11/.test(output),
      output,
    }).toMatchObject({
      code: 0,
      passed: true,
    });
  },
  TEST_LIMIT_MS,
);

describe.each(['workflow', 'workflow-5'] as const)(
  'whole workflows of %s, compiled by the plugin',
  (sdk) => {
    /** The app, and the helpers of its runner for the suite that all runners share. */
    function app(runner: string): string {
      const folder = project('workflows', sdk);
      for (const suite of ['story', 'world']) {
        const helpers = `export { testWorld, waitForHook, waitForSleep } from '${runner}';`;
        writeFileSync(join(folder, suite, 'helpers.ts'), helpers);
      }
      return folder;
    }

    test.each([
      ['forks', 18, []],
      ['threads', 8, ['world']],
      ['vmThreads', 8, ['world']],
    ])(
      'Vitest with %s',
      async (pool, count, files) => {
        const folder = app('hookline/vitest');
        const { code, output } = await run(folder, [VITEST, 'run', '--pool', pool, ...files]);
        const passed = new RegExp(`Tests .*${count} passed`).test(output);
        expect({ code, passed, output }).toMatchObject({ code: 0, passed: true });
      },
      TEST_LIMIT_MS,
    );

    test(
      'Vitest with a set-up of its own, as the SDK documents it',
      async () => {
        const { code, output } = await run(app('hookline/vitest'), [
          ...[VITEST, 'run', '--config', 'manual/vitest.config.mjs', '--root', '.'],
        ]);
        expect({ code, passed: /Tests .*10 passed/.test(output), output }).toMatchObject({
          code: 0,
          passed: true,
        });
      },
      TEST_LIMIT_MS,
    );

    test(
      'Jest',
      async () => {
        const folder = app('hookline/jest');
        const { code, output } = await run(folder, [JEST, '--maxWorkers=2', '--detectOpenHandles']);
        expect({ code, passed: /Tests: +18 passed, 18 total/.test(output), output }).toMatchObject({
          code: 0,
          passed: true,
        });
        expect(output).not.toMatch(/open handle|did not exit|force exited|JEST-01/i);
      },
      TEST_LIMIT_MS,
    );
  },
);
