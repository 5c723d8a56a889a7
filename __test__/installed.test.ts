/**
 * The packed package in an app of its own, above all with something missing: there is one error,
 * which says what to do.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILT, type Dependencies, newApp, packAll } from './packed';
import { cleanUp, ROOT, runNode } from './support';

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

beforeAll(packAll, 60_000);
afterAll(cleanUp);

/** The environment of a user who has set nothing. */
const PLAIN = { PATH: process.env.PATH, HOME: process.env.HOME };

/** A program that prints the error of a piece of code, or the code's result. */
function programOf(code: string) {
  return `(async () => { ${code} })().then(
    (value) => console.log(JSON.stringify({ value })),
    ({ name, code, message }) => console.log(JSON.stringify({ name, code, message })),
  );`;
}

/** The error of a piece of code in the app; `undefined` when there is none. */
async function errorOf(app: string, code: string, env: object = {}) {
  return answerOf(app, ['-e', programOf(code)], env);
}

async function answerOf(cwd: string, args: string[], env: object = {}) {
  const { stdout, stderr } = await runNode(args, { cwd, env: { ...PLAIN, ...env } });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

/** The problems that `hookline doctor` finds. */
async function problems(app: string, env: object = {}) {
  const cli = join(app, 'node_modules', 'hookline', 'dist', 'cli.js');
  const ended = await runNode([cli, 'doctor', '--json'], { cwd: app, env: { ...PLAIN, ...env } });
  const { findings } = JSON.parse(ended.stdout) as {
    findings: { what: string; state: string; found: string; fix?: string }[];
  };
  const found = findings.filter(({ state }) => state === 'problem');
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({
    code: found.length > 0 ? 4 : 0,
    stderr: '',
  });
  return found.map(({ what, found: text, fix }) => ({ what, text: [text, fix].join('. ') }));
}

const RESUME = "await require('hookline').resumeHook('nobody', {});";
const NEXT = "require('hookline/next').withHookline({});";
const TESTING = `
  const { createTestWorld } = require('hookline/testing');
  await createTestWorld().seedHook({ token: 't' });
  return (await require('hookline').resumeHook('t', {})).token;`;

test('with everything there it works', async () => {
  const app = newApp({ workflow: 'real' });
  expect(await errorOf(app, RESUME)).toMatchObject({ name: 'HookNotFoundError' });
  expect(await problems(app, { WORKFLOW_TARGET_WORLD: 'hookline' })).toEqual([]);
});

describe('without a binary for the platform', () => {
  const lacking = { addon: false, workflow: 'real' } satisfies Dependencies;

  test.each([
    ['a function', RESUME],
    ['a World', "await require('hookline').createWorld().start();"],
    ['hookline/testing', TESTING],
  ])('%s names the missing package and the way to build', async (_what, code) => {
    const { message, ...error } = await errorOf(newApp(lacking), code);
    expect(error).toEqual({ name: 'WorkflowWorldError', code: 'NO_ADDON' });
    expect(message).toContain(`Its package is hookline-${BUILT}, an optional dependency`);
    expect(message).toContain('scripts/build-from-source.mjs');
    expect(message).not.toContain('\n');
  });

  test('a binary that the system refuses is named with the reason alone', async () => {
    const app = newApp(lacking);
    const folder = join(app, 'node_modules', `hookline-${BUILT}`);
    const file = `hookline.${BUILT}.node`;
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'x', main: file }));
    writeFileSync(join(folder, file), 'no library');
    const { code, message } = await errorOf(app, RESUME);
    expect({ code, message }).toMatchObject({ code: 'NO_ADDON' });
    expect(message).toContain(file);
    expect(message).toContain('scripts/build-from-source.mjs');
    expect(message).not.toMatch(/wasm|wasi|Cannot find|optional dependency/);
  });

  test('what is missing is named first, and what no package has is not named', async () => {
    const { message } = await errorOf(newApp(lacking), RESUME);
    expect(message).toContain(`: Cannot find module './hookline.${BUILT}.node'; `);
    expect(message).not.toMatch(/wasm|wasi/);
  });

  test('the doctor names it once', async () => {
    expect(await problems(newApp(lacking))).toEqual([
      { what: 'Native addon', text: expect.stringContaining(`hookline-${BUILT}`) },
    ]);
  });

  test('one of another version is named with both versions', async () => {
    const app = newApp();
    const entry = join(app, 'node_modules', 'hookline', 'dist', 'index.js');
    const text = readFileSync(entry, 'utf8');
    const newer = text.replace(`"${version}"`, '"999.0.0"');
    expect(newer).not.toBe(text);
    writeFileSync(entry, newer);
    expect(await errorOf(app, RESUME)).toMatchObject({
      code: 'NO_ADDON',
      message: expect.stringContaining(`version ${version}, and this package is version 999.0.0`),
    });
  });
});

test.each([
  ['startDelivery()', "await require('hookline').startDelivery();"],
  ['hookline/next in instrumentation', "await require('hookline/next').register();"],
])('%s says that the SDK is not supported, and ends the process', async (_what, code) => {
  const app = newApp({ workflow: '6.0.0-beta.1' });
  const ended = await runNode(['-e', `(async () => { ${code} })()`], { cwd: app });
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain('works with 4.8.9 and later 4.x versions');
});

describe('on a Node that is too old', () => {
  // The function that versions before those of `engines` lack.
  const OLD = 'delete process.getBuiltinModule;';

  test.each([
    ['a function', RESUME],
    ['a World', "await require('hookline').createWorld().start();"],
    ['hookline/testing', TESTING],
    ['hookline/next', NEXT],
    ['hookline/next in instrumentation', "await require('hookline/next').register();"],
  ])('%s says which ones work', async (_what, code) => {
    const app = newApp({ workflow: 'real' });
    const { message } = await errorOf(app, `${OLD} ${code}`);
    expect(message).toBe(
      `hookline does not run on Node ${process.versions.node}. Use Node 22.3 or newer, or 20.17 or newer of its line.`,
    );
  });
});

describe('without the package `workflow`', () => {
  const INSTALL = 'npm install workflow@4';

  test('hooks are resumed, and code that resumes them is tested', async () => {
    const app = newApp();
    expect(await errorOf(app, RESUME)).toMatchObject({ name: 'HookNotFoundError' });
    expect(await errorOf(app, TESTING)).toEqual({ value: 't' });
  });

  test.each([
    ['starting a function that nothing has compiled', "await require('hookline').start(() => 1);"],
    ['hookline/next', NEXT],
  ])('%s says so, and how to install it', async (_what, code) => {
    const app = newApp();
    const { message } = await errorOf(app, code);
    expect(message).toContain(`\`workflow\` is not installed in ${app}`);
    expect(message).toContain(INSTALL);
    const whole = newApp({ workflow: 'real' });
    expect(JSON.stringify(await errorOf(whole, code))).not.toContain('not installed');
  });

  test('the doctor says so', async () => {
    expect(await problems(newApp(), { WORKFLOW_TARGET_WORLD: 'hookline' })).toEqual([
      { what: 'Workflow SDK', text: expect.stringContaining(INSTALL) },
    ]);
  });
});

describe('with a version of `workflow` that is not supported', () => {
  const CODES = [
    ['a function', RESUME],
    ['a World', "await require('hookline').createWorld().start();"],
    [
      'the SDK, which asks a World for its version',
      "require('hookline').createWorld().specVersion",
    ],
    ['hookline/testing', TESTING],
    ['hookline/next', NEXT],
  ];

  test.each(CODES)('%s says which one is there, and which ones work', async (_what, code) => {
    const app = newApp({ workflow: '6.0.0-beta.1' });
    const { message } = await errorOf(app, code);
    expect(message).toContain('workflow 6.0.0-beta.1 in ');
    expect(message).toContain('works with 4.8.9 and later 4.x versions');
    expect(message).toContain('npm install workflow@4');
    expect(existsSync(join(app, '.workflow-data'))).toBe(false);
  });

  test('the doctor says the same, and still looks at the database', async () => {
    const app = newApp({ workflow: '3.9.9' });
    expect(await problems(app)).toEqual([
      { what: 'Workflow SDK', text: expect.stringContaining('workflow 3.9.9 in ') },
    ]);
  });

  test.each(['0.1.0', '3.9.9', '4.0.1', '4.8.8', '5.0.0-beta.54', '6.0.0', '40.0.0'])(
    '%s is refused',
    async (workflow) => {
      expect(await errorOf(newApp({ workflow }), RESUME)).toMatchObject({
        name: 'WorkflowWorldError',
        code: 'UNSUPPORTED_SDK',
      });
    },
  );

  test.each([
    ...['4.8.9', '4.8.10', '4.9.0', '4.10.0-beta.1'],
    ...['5.0.0-beta.55', '5.0.0-beta.100', '5.0.0', '5.2.0'],
  ])('%s is not', async (workflow) => {
    expect(await errorOf(newApp({ workflow }), RESUME)).toMatchObject({
      name: 'HookNotFoundError',
    });
  });
});

describe('a version of `workflow` that is not supported, and that another app has,', () => {
  const OTHER = '6.0.0-beta.1';
  const REFUSED = { code: 'UNSUPPORTED_SDK' };
  const WORKS = { name: 'HookNotFoundError' };

  const write = (folder: string, file: string, text: string) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, file), text);
  };
  const declare = (folder: string, dependencies: object) =>
    write(folder, 'package.json', JSON.stringify({ name: 'app', dependencies }));
  /** A monorepo whose root has the other version, and the folder of an app in it. */
  const monorepo = () => {
    const root = newApp({ workflow: OTHER });
    const web = join(root, 'apps', 'web');
    mkdirSync(web, { recursive: true });
    return { root, web };
  };
  /** Installs the real SDK in a folder. */
  const install = (folder: string) => {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(join(ROOT, 'node_modules', 'workflow'), join(folder, 'node_modules', 'workflow'));
  };

  test('in a folder of the user, where no import looks, is no reason to refuse', async () => {
    const home = newApp();
    const manifest = JSON.stringify({ name: 'workflow', version: OTHER });
    write(join(home, '.node_modules', 'workflow'), 'package.json', manifest);
    write(join(home, 'path', 'workflow'), 'package.json', manifest);
    const env = { HOME: home, NODE_PATH: join(home, 'path') };
    expect(await errorOf(newApp(), RESUME, env)).toMatchObject(WORKS);
  });

  test('in a folder above is a reason only for an app that names `workflow`', async () => {
    const { web } = monorepo();
    expect(await errorOf(web, RESUME)).toMatchObject(WORKS);
    declare(web, { hookline: '*' });
    expect(await errorOf(web, RESUME)).toMatchObject(WORKS);
    expect(await errorOf(web, "return require('hookline').createWorld().specVersion")).toEqual({
      value: 3,
    });
    declare(web, { workflow: '*' });
    expect(await errorOf(web, RESUME)).toMatchObject(REFUSED);
    install(web);
    expect(await errorOf(web, RESUME)).toMatchObject(WORKS);
  });

  test('is that of the root, where it was hoisted to: the doctor only warns', async () => {
    const { root } = monorepo();
    declare(root, {});
    expect(await errorOf(root, RESUME)).toMatchObject(WORKS);
    expect(await problems(root)).toEqual([]);
  });

  test('is that of the working directory, but not of the program that runs', async () => {
    const { root, web } = monorepo();
    declare(root, { workflow: OTHER });
    write(web, 'server.js', programOf(RESUME));
    const server = [join('apps', 'web', 'server.js')];
    expect(await answerOf(root, server)).toMatchObject(REFUSED);
    install(web);
    expect(await answerOf(root, server)).toMatchObject(WORKS);
  });

  test('is that of the working directory, but the process has loaded one of 4.x', async () => {
    const { root, web } = monorepo();
    declare(root, { workflow: OTHER });
    install(web);
    const sdk = join(web, 'node_modules', 'workflow', 'dist', 'api.js');
    const env = { WORKFLOW_TARGET_WORLD: 'hookline' };
    expect(await errorOf(root, RESUME, env)).toMatchObject(REFUSED);
    const loaded = `await import(${JSON.stringify(sdk)}); ${RESUME}`;
    expect(await errorOf(root, loaded, env)).toMatchObject(WORKS);
    // A later SDK leaves this symbol as well.
    const later = `globalThis[Symbol.for('@workflow/world//getWorldFn')] = () => {}; ${loaded}`;
    expect(await errorOf(root, later, env)).toMatchObject(REFUSED);
  });
});

describe('where the SDK uses another World', () => {
  const EVERYTHING = `
    const hookline = require('hookline');
    const outcome = (call) => call().then(String, ({ name }) => name);
    return Promise.all([
      outcome(() => hookline.resumeHook('nobody', {})),
      outcome(() => hookline.getHookByToken('nobody')),
      outcome(() => hookline.resumeWebhook('nobody', new Request('http://x'))),
      outcome(() => hookline.start({})),
      outcome(() => hookline.getRun('wrun_1').status),
      outcome(() => new hookline.Run('wrun_1').exists),
    ]);`;
  const ANSWERS = [
    ...['HookNotFoundError', 'HookNotFoundError', 'HookNotFoundError'],
    ...['WorkflowRuntimeError', 'WorkflowRunNotFoundError', 'false'],
  ];

  test('because it was asked for, the SDK does the work', async () => {
    const app = newApp({ workflow: 'real' });
    const env = { WORKFLOW_TARGET_WORLD: 'local', WORKFLOW_LOCAL_DATA_DIR: 'local' };
    expect(await errorOf(app, EVERYTHING, env)).toEqual({ value: ANSWERS });
    expect(existsSync(join(app, '.workflow-data'))).toBe(false);
  });

  test('because it was asked for, but there is no SDK, that is said', async () => {
    const local = { WORKFLOW_TARGET_WORLD: 'local' };
    expect(await errorOf(newApp(), RESUME, local)).toMatchObject({
      code: 'NOT_CONFIGURED',
      message: expect.stringMatching(/`workflow` is not installed .* npm install workflow@4/),
    });
  });

  test('because it runs on Vercel, it was asked for too', async () => {
    const app = newApp({ workflow: 'real' });
    const env = { VERCEL_DEPLOYMENT_ID: 'dpl_1' };
    const wait = "await require('hookline').waitForHook('nobody', { timeout: 1 });";
    expect(await errorOf(app, wait, env)).toMatchObject({
      code: 'NOT_CONFIGURED',
      message: expect.stringContaining('VERCEL_DEPLOYMENT_ID is set'),
    });
    const ours = { ...env, WORKFLOW_TARGET_WORLD: 'hookline' };
    expect(await errorOf(app, RESUME, ours)).toMatchObject({ name: 'HookNotFoundError' });
  });

  const SDK = "const sdk = await import('workflow/runtime');";

  test('because the variable was forgotten, it is the variable that is named', async () => {
    const app = newApp({ workflow: 'real' });
    expect(await errorOf(app, `${SDK} sdk.getWorld(); ${RESUME}`)).toMatchObject({
      code: 'NOT_CONFIGURED',
      message: expect.stringContaining('WORKFLOW_TARGET_WORLD is not set'),
    });
    const handlers = `${SDK} sdk.getWorldHandlers(); ${RESUME}`;
    expect(await errorOf(app, handlers)).toMatchObject({ code: 'NOT_CONFIGURED' });
  });

  test('because Next.js was not told, that is said', async () => {
    // `withWorkflow()` sets both.
    const env = {
      WORKFLOW_TARGET_WORLD: 'local',
      WORKFLOW_LOCAL_DATA_DIR: '.next/workflow-data',
    };
    for (const code of [RESUME, `${SDK} sdk.getWorld(); ${RESUME}`]) {
      expect(await errorOf(newApp({ workflow: 'real' }), code, env)).toMatchObject({
        code: 'NOT_CONFIGURED',
        message: expect.stringContaining('withWorkflow() has chosen the local World'),
      });
    }
  });

  test('because it was set too late, that is said', async () => {
    const late = `${SDK} sdk.getWorld(); process.env.WORKFLOW_TARGET_WORLD = 'hookline'; ${RESUME}`;
    expect(await errorOf(newApp({ workflow: 'real' }), late)).toMatchObject({
      code: 'NOT_CONFIGURED',
      message: expect.stringContaining('before WORKFLOW_TARGET_WORLD was set'),
    });
  });

  test('a World that the app has made of this package, by whatever name, is no other', async () => {
    const app = newApp({ workflow: 'real' });
    writeFileSync(
      join(app, 'my-world.cjs'),
      `exports.createWorld = () => ({ ...require('hookline').createWorld({ url: 'mine.db' }) });`,
    );
    const code = `${SDK} sdk.getWorld(); ${RESUME}`;
    const env = { WORKFLOW_TARGET_WORLD: './my-world.cjs' };
    expect(await errorOf(app, code, env)).toMatchObject({ name: 'HookNotFoundError' });
    expect(existsSync(join(app, 'mine.db'))).toBe(true);
    const path = { WORKFLOW_TARGET_WORLD: './node_modules/hookline/dist/index.js' };
    expect(await errorOf(app, RESUME, path)).toMatchObject({ name: 'HookNotFoundError' });
  });

  const WRAPPERS = [
    ['createWorld', 'exports.createWorld = wrapped;'],
    ['a default export', 'exports.default = wrapped;'],
    ['a function', 'module.exports = wrapped;'],
  ];
  const WRAPPED =
    "const wrapped = () => ({ ...require('hookline').createWorld({ url: 'mine.db' }) });";

  test.each(WRAPPERS)('such a World is found before the SDK has made it: %s', async (_as, ends) => {
    const app = newApp({ workflow: 'real' });
    writeFileSync(join(app, 'my-world.cjs'), `${WRAPPED} ${ends}`);
    const env = { WORKFLOW_TARGET_WORLD: './my-world.cjs' };
    expect(await errorOf(app, RESUME, env)).toMatchObject({ name: 'HookNotFoundError' });
    // Also after the SDK's routes, which make one of the two Worlds.
    const routes = `await import('workflow/api'); ${RESUME}`;
    expect(await errorOf(app, routes, env)).toMatchObject({ name: 'HookNotFoundError' });
    expect(existsSync(join(app, 'mine.db'))).toBe(true);
    expect(existsSync(join(app, '.workflow-data'))).toBe(false);
  });

  test('one of another package is found when that package uses this one; else its code is not run', async () => {
    const app = newApp({ workflow: 'real' });
    const env = { WORKFLOW_TARGET_WORLD: 'my-world' };
    expect(await errorOf(app, RESUME, env)).toMatchObject({ code: 'MODULE_NOT_FOUND' });
    const folder = join(app, 'node_modules', 'my-world');
    mkdirSync(folder);
    const code = `require('node:fs').writeFileSync('ran', ''); ${WRAPPED} exports.createWorld = wrapped;`;
    writeFileSync(join(folder, 'index.js'), code);
    const manifest = { name: 'my-world', version: '1.0.0' };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    const wait = "await require('hookline').waitForHook('nobody', { timeout: 1 });";
    expect(await errorOf(app, wait, env)).toMatchObject({ code: 'NOT_CONFIGURED' });
    expect(existsSync(join(app, 'ran'))).toBe(false);
    const using = { ...manifest, peerDependencies: { hookline: '*' } };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(using));
    expect(await errorOf(app, RESUME, env)).toMatchObject({ name: 'HookNotFoundError' });
    expect(existsSync(join(app, 'mine.db'))).toBe(true);
  });

  test('a file of the app that makes a World of something else is asked once by us, and used', async () => {
    const app = newApp({ workflow: 'real' });
    const code = `exports.createWorld = () => {
      globalThis.made = (globalThis.made ?? 0) + 1;
      return { createQueueHandler: () => () => {}, hooks: { getByToken: async () => { throw new Error('theirs'); } } };
    };`;
    writeFileSync(join(app, 'other-world.cjs'), code);
    const wait = "await require('hookline').waitForHook('nobody', { timeout: 1 });";
    const twice = `
      const errors = [];
      for (const _ of [1, 2]) await (async () => { ${wait} })().catch(({ code }) => errors.push(code));
      const { made } = globalThis;
      await (async () => { ${RESUME} })().catch(({ message }) => errors.push(message));
      return { errors, made };`;
    const env = { WORKFLOW_TARGET_WORLD: './other-world.cjs' };
    expect(await errorOf(app, twice, env)).toEqual({
      value: { errors: ['NOT_CONFIGURED', 'NOT_CONFIGURED', 'theirs'], made: 1 },
    });
  });
});

test('a database that cannot be made is named by its path', async () => {
  const app = newApp({ workflow: 'real' });
  writeFileSync(join(app, 'file'), '');
  const env = { WORKFLOW_HOOKLINE_URL: 'file/hookline.db' };
  expect(await errorOf(app, RESUME, env)).toMatchObject({
    name: 'WorkflowWorldError',
    code: 'CANNOT_OPEN',
    message: expect.stringContaining(join(app, 'file', 'hookline.db')),
  });
});
