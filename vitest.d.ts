/**
 * `hookline/vitest`: tests of whole workflows under Vitest, each with a World in memory.
 *
 * @packageDocumentation
 */
import type { Hook } from './index.js';
import type { TestWorld } from './testing.js';

/** Options of {@link hookline}; those of the SDK's own plugin, and one more. */
export interface WorkflowTestOptions {
  /** The folder of the app. Default: the root of the Vitest project. */
  cwd?: string;
  /** The folder that gets `.workflow-vitest`. Default: `cwd`. */
  rootDir?: string;
  /** The folder of the compiled workflows. Default: `.workflow-vitest` in `rootDir`. */
  outDir?: string;
  /** Not used, because everything is in memory; accepted from the SDK's plugin. */
  dataDir?: string;
  /**
   * How long a World lasts. `'test'`, the default: each test has a new one; tests of a file that run
   * at the same time share one. `'file'`: all tests of a file share one.
   */
  worldPer?: 'test' | 'file';
}

/** A plugin of Vite, as far as its type matters. */
export interface WorkflowTestPlugin {
  name: string;
}

/**
 * The plugin: compiles the workflows of the app with the SDK's own compiler, and gives each test a
 * World in memory whose messages are delivered to them. It stands in for `workflow()` of
 * `@workflow/vitest`.
 *
 * @example
 * ```ts
 * // vitest.config.ts
 * import { hookline } from 'hookline/vitest';
 * import { defineConfig } from 'vitest/config';
 *
 * export default defineConfig({ plugins: [hookline()] });
 * ```
 */
export function hookline(options?: WorkflowTestOptions): WorkflowTestPlugin[];

/** The World of the present test: it can move the time, and make a commit fail. */
export function testWorld(): TestWorld;

/** How long {@link waitForSleep} and {@link waitForHook} wait. */
export interface WaitOptions {
  /** Milliseconds; default 30,000. */
  timeout?: number;
  /** Milliseconds between two looks; default 10. */
  pollInterval?: number;
}

/**
 * Waits until the run sleeps.
 *
 * @returns The id of the sleep, for `run.wakeUp({ correlationIds: [id] })`.
 * @throws `TimeLimitError` when the run does not sleep within `timeout`.
 */
export function waitForSleep(run: { runId: string }, options?: WaitOptions): Promise<string>;

/**
 * Waits until the run has a hook that nothing was sent to; with `token`, the hook with that token.
 *
 * @returns The hook, with its metadata as a value.
 * @throws `TimeLimitError` when there is no such hook within `timeout`.
 */
export function waitForHook(
  run: { runId: string },
  options?: WaitOptions & { token?: string },
): Promise<Hook>;

/** For a set-up of your own, in `globalSetup`: compiles the workflows. The plugin does it itself. */
export function buildWorkflowTests(options?: WorkflowTestOptions): Promise<void>;

/**
 * For a set-up of your own, in each test file: makes a World whose messages are delivered to the
 * workflows that `buildWorkflowTests()` has compiled. The plugin does it itself.
 */
export function setupWorkflowTests(options?: WorkflowTestOptions): Promise<void>;

/** For a set-up of your own: closes the World of `setupWorkflowTests()`. */
export function teardownWorkflowTests(): Promise<void>;
