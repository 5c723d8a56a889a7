/**
 * `hookline/nitro`: a module of Nitro 2 and 3.
 *
 * It imports nothing of the SDK, and neither does its plugin: a plugin that imports
 * `workflow/runtime` changes what Nitro bundles, and some of its versions then lose the app's steps.
 */
import type { Nitro } from '../../nitro';
import { saysLine } from './installed-sdk';

const PACKAGE = 'hookline';
const PLUGIN = '#hookline/start-delivery';

/** Loads the package as the SDK loads it: by name, from the working directory. */
const PLUGIN_SOURCE = `
import { createRequire } from 'node:module';
import { join } from 'node:path';

export default () => {
  createRequire(join(process.cwd(), 'index.js'))('${PACKAGE}').startDelivery();
};
`;

/**
 * The first line of each file. The SDK chooses its World when its modules are evaluated, and a file's
 * imports are evaluated before its statements, so this is an import too. It also says which line of
 * the SDK is bundled, because the World may be asked before the SDK is evaluated.
 */
function firstLine(): string {
  const target = `process.env.WORKFLOW_TARGET_WORLD ||= '${PACKAGE}'`;
  return `import "data:text/javascript,${target};${saysLine()}";`;
}

/** See `nitro.d.ts`. */
function setup(nitro: Nitro): void {
  // Nitro builds a second server, which renders pages at build time.
  if (nitro.options.preset === 'nitro-prerender') return;
  // For the server of `nitro dev`, which inherits this environment.
  process.env.WORKFLOW_TARGET_WORLD ||= PACKAGE;
  nitro.options.virtual[PLUGIN] = PLUGIN_SOURCE;
  nitro.options.plugins.push(PLUGIN);
  // Nitro 2 drops a module of which no export is used. The SDK's modules register steps when they
  // are evaluated, and without this a built server knows none, whatever its World (SDK 4.8.9).
  nitro.options.moduleSideEffects?.push(`${nitro.options.buildDir}/workflow/`);
  // A built server reads no `.env`.
  if (!nitro.options.dev) nitro.hooks.hook('rollup:before', beginWithFirstLine);
}

type Banner = string | ((chunk: unknown) => string | Promise<string>);

function beginWithFirstLine(_nitro: unknown, config: { output?: unknown }): void {
  const first = firstLine();
  config.output ??= {};
  for (const output of [config.output].flat() as { banner?: Banner }[]) {
    const { banner = '' } = output;
    output.banner = async (chunk) =>
      `${first}\n${typeof banner === 'function' ? await banner(chunk) : banner}`;
  }
}

const name = 'hookline/nitro';
export = { name, setup };
