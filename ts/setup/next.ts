/**
 * `hookline/next`: what a Next.js app adds to its configuration and its instrumentation.
 *
 * Loaded in two places: by Node in `next.config`, and by a bundler, or Node, in `instrumentation`,
 * there also for the edge runtime. So it imports nothing that asks Node for its modules before a
 * function runs.
 */
import type { HooklineNextConfig } from '../../next';
import { messageOf, missingSdk, unsupportedSdk } from './installed-sdk';

const PACKAGE = 'hookline';
const SDK_WORLD = Symbol.for('@workflow/world//cache');
const BASE_PATH = Symbol.for('@workflow/core/basePath');

/** What the Workflow SDK shares between its copies in a process. */
interface Globals {
  [SDK_WORLD]?: { start?(): Promise<void> };
  [BASE_PATH]?: string;
}

type Config = Partial<HooklineNextConfig>;
type ConfigByPhase = (...phase: unknown[]) => Config | Promise<Config>;

/** See `next.d.ts`. */
export function withHookline(config: Config | ConfigByPhase = {}): Config | ConfigByPhase {
  // The SDK's own wrapper, which comes after, would choose its local World.
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

/** Globs of the files that run, for `output: 'standalone'`: nothing else says that they are needed. */
function packageFiles(): string[] {
  const { createRequire } = process.getBuiltinModule('node:module');
  const { dirname, join, relative, sep } = process.getBuiltinModule('node:path');
  const cwd = process.cwd();
  const { resolve } = createRequire(join(cwd, 'index.js'));
  const glob = (path: string) => relative(cwd, path).split(sep).join('/');
  const from = glob(dirname(dirname(resolve(PACKAGE))));
  const links = (resolve.paths(PACKAGE) ?? [])
    .map((folder) => join(folder, PACKAGE))
    .filter(isLink);
  return [
    `${from}/package.json`,
    `${from}/{dist,native}/*`,
    // The platform's package is a sibling in every layout, also in pnpm's, by a link.
    `${from}-{darwin,linux,win32}-*/*`,
    // By which the package is found from the working directory: Turbopack follows it and drops it.
    ...links.slice(0, 1).map(glob),
  ];
}

function isLink(path: string): boolean {
  const { lstatSync } = process.getBuiltinModule('node:fs');
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/** See `next.d.ts`. */
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME === 'edge') return;
  process.env.WORKFLOW_TARGET_WORLD ||= PACKAGE;
  if (process.env.WORKFLOW_TARGET_WORLD !== PACKAGE) return;
  // Steps need the request that a route gives them; a custom server does not show that it is Next.js.
  process.env.WORKFLOW_HOOKLINE_DELIVERY ||= 'http';
  const { createRequire } = process.getBuiltinModule('node:module');
  const { join } = process.getBuiltinModule('node:path');
  // As the SDK loads it: by name, from the working directory, out of every bundler's sight.
  const load = createRequire(join(process.cwd(), 'index.js'));
  const { createWorld } = load(PACKAGE) as typeof import('../../index');
  const globals = globalThis as Globals;
  globals[BASE_PATH] ??= standaloneBasePath();
  globals[SDK_WORLD] ??= createWorld();
  await globals[SDK_WORLD].start?.();
}

/** Elsewhere `withWorkflow()` has told the SDK; a standalone server never loads `next.config`. */
function standaloneBasePath(): string | undefined {
  const config = process.env.__NEXT_PRIVATE_STANDALONE_CONFIG;
  return config && (JSON.parse(config) as { basePath?: string }).basePath;
}
