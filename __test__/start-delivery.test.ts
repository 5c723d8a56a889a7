/** The start lines: `startDelivery()`, and the module `hookline/nitro`. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { installedFolder } from './sdk/harness';
import { cleanUp, newFolder, ROOT, runNode } from './support';

afterAll(cleanUp);

const REPORT = `
  const { startDelivery } = require('hookline');
  const report = async (world) => {
    if (typeof world?.stats !== 'function') return { isOurs: false };
    const delivered = new Promise((resolve) => {
      world.createQueueHandler('__wkf_step_', async () => resolve('delivered'));
    });
    await world.queue('__wkf_step_1', {});
    const isProducer = process.env.WORKFLOW_HOOKLINE_ROLE === 'producer';
    const message = isProducer ? (await world.stats()).messages.due : await delivered;
    return { isOurs: true, message };
  };
  // A World that only delivers keeps no process alive.
  const awake = setInterval(() => {}, 1000);
  startDelivery().then(async () => {
    const world = globalThis[Symbol.for('@workflow/world//cache')];
    console.log(JSON.stringify({
      ...(await report(world)),
      target: process.env.WORKFLOW_TARGET_WORLD,
    }));
    await world?.close?.();
    clearInterval(awake);
  });`;

/** Starts delivery in a process of its own, after `first`; with its arguments, as a program. */
async function started(env: Record<string, string> = {}, first = '', args?: string[]) {
  const folder = newFolder();
  const url = join(folder, 'hookline.db');
  const ended = await runNode(args ?? ['-e', first + REPORT], {
    env: { PATH: process.env.PATH, WORKFLOW_HOOKLINE_URL: url, ...env },
  });
  return { ...ended, opened: existsSync(url) };
}

const reportOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout);

test('the World is where the SDK looks for it, and delivers', async () => {
  const ended = await started();
  expect(ended).toMatchObject({ code: 0, stderr: '', opened: true });
  expect(reportOf(ended)).toMatchObject({ isOurs: true, target: 'hookline', message: 'delivered' });
});

test('a second call, also of the SDK’s own start(), changes nothing', async () => {
  const first = `
    require('hookline').startDelivery();
    globalThis[Symbol.for('@workflow/world//cache')].start();`;
  expect(reportOf(await started({}, first))).toMatchObject({ message: 'delivered' });
});

test('a World that the SDK has already is started, and no second one is made', async () => {
  const first = `
    const { createWorld, default: other } = require('hookline');
    const own = createWorld();
    globalThis[Symbol.for('@workflow/world//cache')] = own;
    process.on('exit', () => {
      if (globalThis[Symbol.for('@workflow/world//cache')] !== own) console.error('another');
    });`;
  expect(await started({}, first)).toMatchObject({ code: 0, stderr: '', opened: true });
});

test('in the role producer it delivers nothing', async () => {
  const ended = await started({ WORKFLOW_HOOKLINE_ROLE: 'producer' });
  expect(reportOf(ended)).toMatchObject({ isOurs: true, message: 1 });
});

test('for another World it does nothing', async () => {
  const ended = await started({ WORKFLOW_TARGET_WORLD: 'local' });
  expect(ended).toMatchObject({ code: 0, stderr: '', opened: false });
  expect(reportOf(ended)).toEqual({ isOurs: false, target: 'local' });
});

describe('a server that cannot deliver prints why and stops', () => {
  const afterwards = `
    process.on('unhandledRejection', () => console.log('unhandled'));`;

  test('because its database cannot be opened', async () => {
    const ended = await started({ WORKFLOW_HOOKLINE_URL: newFolder() }, afterwards);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toContain('WorkflowWorldError');
  });

  test('because the SDK has chosen another World', async () => {
    const other = `globalThis[Symbol.for('@workflow/world//stubbedCache')] = {};`;
    const ended = await started({}, afterwards + other);
    expect(ended).toMatchObject({ code: 1, stdout: '', opened: false });
    expect(ended.stderr).toContain('NOT_CONFIGURED');
    expect(ended.stderr).toContain('WORKFLOW_TARGET_WORLD is not set');
  });
});

describe('nothing is opened while the app is built', () => {
  /** A program in `node_modules`, as the command line of a framework is one. */
  function programOf(framework: string): string {
    const folder = join(newFolder(), 'node_modules', framework);
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'cli.cjs');
    writeFileSync(path, REPORT.replace("'hookline'", JSON.stringify(join(ROOT, 'dist/index.js'))));
    return path;
  }

  test.each<[string, Record<string, string>]>([
    ['Next.js', { NEXT_PHASE: 'phase-production-build' }],
    ['SvelteKit', { SVELTEKIT_FORK: 'true' }],
  ])('by %s, which says so', async (_framework, env) => {
    expect(await started(env)).toMatchObject({ code: 0, stderr: '', opened: false });
  });

  test.each([
    ['vite', 'build', false],
    ['nuxt', 'generate', false],
    ['vite', 'preview', true],
  ])('by the command %s %s', async (framework, command, opened) => {
    const ended = await started({}, '', [programOf(framework), command]);
    expect(ended).toMatchObject({ code: 0, stderr: '', opened });
  });
});

describe('hookline/nitro', () => {
  const newNitro = (options: object) => {
    const hooks: string[] = [];
    const nitro = {
      options: {
        dev: false,
        preset: 'node-server',
        buildDir: '/app/.nitro',
        plugins: [],
        virtual: {},
        ...options,
      },
      hooks: { hook: (name: string) => hooks.push(name) },
    };
    return { nitro, hooks };
  };
  const setUp = async (options: object) => {
    const { nitro, hooks } = newNitro(options);
    const { default: hookline } = await import(join(ROOT, 'dist', 'nitro.js'));
    hookline.setup(nitro);
    return { plugins: nitro.options.plugins, hooks };
  };
  const target = process.env.WORKFLOW_TARGET_WORLD;
  beforeEach(() => {
    delete process.env.WORKFLOW_TARGET_WORLD;
  });
  afterAll(() => {
    if (target === undefined) delete process.env.WORKFLOW_TARGET_WORLD;
    else process.env.WORKFLOW_TARGET_WORLD = target;
  });

  test('adds its plugin, and names its World unless another is named', async () => {
    expect((await setUp({})).plugins).toHaveLength(1);
    expect(process.env.WORKFLOW_TARGET_WORLD).toBe('hookline');
    process.env.WORKFLOW_TARGET_WORLD = 'local';
    await setUp({ dev: true });
    expect(process.env.WORKFLOW_TARGET_WORLD).toBe('local');
  });

  test.each([
    ['workflow', 3],
    ['workflow-5', 7],
  ] as const)(
    'a server that was built with %s knows its line where no SDK is installed',
    async (sdk, specVersion) => {
      const build = `
        const listeners = [];
        const nitro = {
          options: { preset: 'node-server', buildDir: '', plugins: [], virtual: {} },
          hooks: { hook: (_, listener) => listeners.push(listener) },
        };
        require('hookline/nitro').setup(nitro);
        const output = {};
        for (const listener of listeners) listener(nitro, { output });
        output.banner({}).then(console.log);`;
      const { stdout: banner } = await runNode(['-e', build], { cwd: installedFolder(sdk) });
      const server = join(newFolder(), 'server.mjs');
      const index = JSON.stringify(join(ROOT, 'dist', 'index.js'));
      writeFileSync(
        server,
        `${banner}
        import { createRequire } from 'node:module';
        const { createWorld } = createRequire(import.meta.url)(${index});
        console.log(createWorld().specVersion);`,
      );
      const ended = await runNode([server], { cwd: dirname(server) });
      expect(ended).toMatchObject({ code: 0, stderr: '', stdout: `${specVersion}\n` });
    },
  );

  test('adds nothing to the server that renders pages at build time', async () => {
    const { plugins, hooks } = await setUp({ preset: 'nitro-prerender' });
    expect({ plugins, hooks }).toEqual({ plugins: [], hooks: [] });
  });
});
