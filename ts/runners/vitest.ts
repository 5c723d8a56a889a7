/** `hookline/vitest`: compiles the workflows of an app, and gives each test a World in memory. */
import { join, resolve } from 'node:path';
import type { WorkflowTestOptions } from '../../vitest';
import { importFile } from '../setup/import-file';
import { useCompiled } from '../testing/compiled';
import { createTestWorld } from '../testing/index';
import { build, bundlesIn, placesOf } from './build';
import { createTransform, type Transform } from './transform';

export {
  endOfFile as teardownWorkflowTests,
  nextWorld,
  testWorld,
  waitForHook,
  waitForSleep,
} from './test-runs';

/** The name under which the plugin hands its options to the test files. */
export const PROVIDED = 'hookline:vitest';

const FOLDER = '.workflow-vitest';

/** The parts of Vitest's project that are used; its types are not needed for them. */
interface Project {
  config: { root: string };
  provide(name: string, value: unknown): void;
  getProvidedContext?(): Record<string, unknown>;
  onTestsRerun?(rerun: () => Promise<void>): void;
}

/** See `vitest.d.ts`. */
export function hookline(options: WorkflowTestOptions = {}) {
  let places = placesOf(options, process.cwd(), FOLDER);
  let transform: Promise<Transform> | undefined;
  const transformOnce = () => {
    const isBundle = (file: string) => file.startsWith(join(places.outDir, '/'));
    transform ??= createTransform(places.cwd, isBundle);
    return transform;
  };
  return [
    {
      name: 'hookline:vitest',
      // Before Vite's own transformation of TypeScript.
      enforce: 'pre' as const,
      config: () => ({
        test: {
          globalSetup: [resolve(__dirname, 'vitest-global-setup.mjs')],
          setupFiles: [resolve(__dirname, 'vitest-setup.mjs')],
        },
        // A bundle that is written must not start the tests again.
        server: { watch: { ignored: [`**/${FOLDER}/**`, `${places.outDir}/**`] } },
      }),
      configureVitest({ project }: { project: Project }) {
        places = placesOf(options, project.config.root, FOLDER);
        project.provide(PROVIDED, { ...options, ...places });
      },
      async transform(code: string, id: string) {
        return (await transformOnce())(code, id.split('?', 1)[0] as string);
      },
    },
  ];
}

/** Compiles before the tests of a project, and before they run again. */
export async function buildForProject(project: Project): Promise<void> {
  const options = project.getProvidedContext?.()[PROVIDED] as WorkflowTestOptions | undefined;
  if (!options) throw new Error('hookline/vitest needs Vitest 3.1 or newer.');
  const places = placesOf(options, project.config.root, FOLDER);
  await build(places, { format: 'esm', selfContained: false });
  project.onTestsRerun?.(() => build(places, { format: 'esm', selfContained: false }));
}

/** See `vitest.d.ts`. */
export async function buildWorkflowTests(options: WorkflowTestOptions = {}): Promise<void> {
  // A test file may import the SDK before it has a World for tests: then the SDK's handlers must be
  // of a World of this package too.
  process.env.WORKFLOW_TARGET_WORLD ||= 'hookline';
  const places = placesOf(options, process.cwd(), FOLDER);
  await build(places, { format: 'esm', selfContained: true });
}

/** See `vitest.d.ts`. `load` imports a file; the plugin's own can mock what the file imports. */
export async function setupWorkflowTests(
  options: WorkflowTestOptions = {},
  load: (file: string) => Promise<object> = importFile,
): Promise<void> {
  const { outDir } = placesOf(options, process.cwd(), FOLDER);
  const { steps, workflows } = bundlesIn(outDir, 'esm');
  useCompiled(async () => {
    await load(steps);
    return load(workflows);
  });
  createTestWorld();
}
