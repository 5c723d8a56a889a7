/**
 * `hookline/next`: the functions for the configuration and the instrumentation of a Next.js app.
 *
 * Node loads this file in `next.config`. A bundler, or Node, loads it in `instrumentation`, there
 * also for the edge runtime. So no function gets Node's modules before it runs.
 */
import type { HooklineNextConfig } from '../../next';
import { builtin } from '../native/node-version';
import { installed, messageOf, missingSdk, unsupportedSdk } from './installed-sdk';

const PACKAGE = 'hookline';
const BASE_PATH = Symbol.for('@workflow/core/basePath');

/** What the Workflow SDK shares between its copies in a process. */
interface Globals {
  [BASE_PATH]?: string;
}

type Config = Partial<HooklineNextConfig>;
type ConfigByPhase = (...phase: unknown[]) => Config | Promise<Config>;

/** See `next.d.ts`. */
export function withHookline(config: Config | ConfigByPhase = {}): Config | ConfigByPhase {
  // Otherwise the SDK's own wrapper, which runs later, chooses its local World.
  process.env.WORKFLOW_TARGET_WORLD ||= PACKAGE;
  if (typeof config !== 'function') return withPackage(config);
  return async (...phase: unknown[]) => withPackage(await config(...phase));
}

function withPackage(config: Config): HooklineNextConfig {
  const shortcoming = missingSdk() ?? unsupportedSdk();
  if (shortcoming) throw new Error(messageOf(shortcoming));
  const { serverExternalPackages = [], outputFileTracingIncludes = {} } = config;
  return {
    ...config,
    serverExternalPackages: [...new Set([...serverExternalPackages, PACKAGE])],
    outputFileTracingIncludes: {
      ...outputFileTracingIncludes,
      '/*': [...(outputFileTracingIncludes['/*'] ?? []), ...packageFiles()],
    },
  };
}

/** Globs of the files that run, for `output: 'standalone'`: Next.js cannot find them by itself. */
function packageFiles(): string[] {
  const { realpathSync } = builtin('node:fs');
  const { createRequire } = builtin('node:module');
  const { dirname, join, relative, sep } = builtin('node:path');
  const cwd = process.cwd();
  const { resolve } = createRequire(join(cwd, 'index.js'));
  const glob = (path: string) => relative(cwd, path).split(sep).join('/');
  const from = glob(dirname(dirname(resolve(PACKAGE))));
  const links = (resolve.paths(PACKAGE) ?? [])
    .map((folder) => join(folder, PACKAGE))
    .filter(isLink);
  const sdk = installed('workflow')?.folder;
  return [
    `${from}/package.json`,
    `${from}/{dist,native}/*`,
    // The platform's package is a sibling in every layout, also in pnpm's, by a link.
    `${from}-{darwin,linux,win32}-*/*`,
    // The link by which the package is found from the working directory: Turbopack follows the link
    // and drops it.
    ...links.slice(0, 1).map(glob),
    // The SDK itself is bundled. Its manifest says of which line it is before any of it is loaded.
    ...(sdk ? [`${glob(realpathSync(sdk))}/package.json`, ...[sdk].filter(isLink).map(glob)] : []),
  ];
}

function isLink(path: string): boolean {
  const { lstatSync } = builtin('node:fs');
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** See `next.d.ts`. */
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME === 'edge') return;
  process.env.WORKFLOW_TARGET_WORLD ||= PACKAGE;
  if (process.env.WORKFLOW_TARGET_WORLD !== PACKAGE) return;
  // Steps need the request that a route gives them; under a custom server the package cannot detect
  // Next.js by itself.
  process.env.WORKFLOW_HOOKLINE_DELIVERY ||= 'http';
  const { createRequire } = builtin('node:module');
  const { join } = builtin('node:path');
  // Loaded as the SDK loads it: by name, from the working directory, invisible to bundlers.
  const load = createRequire(join(process.cwd(), 'index.js'));
  const { startDelivery } = load(PACKAGE) as typeof import('../../index');
  (globalThis as Globals)[BASE_PATH] ??= standaloneBasePath();
  await startDelivery();
}

/**
 * The base path of a standalone server, which never loads `next.config`; elsewhere `withWorkflow()`
 * has set it.
 */
function standaloneBasePath(): string | undefined {
  const config = process.env.__NEXT_PRIVATE_STANDALONE_CONFIG;
  return config && (JSON.parse(config) as { basePath?: string }).basePath;
}
