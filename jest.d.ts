/**
 * `hookline/jest`: tests of whole workflows under Jest, each with a World in memory.
 *
 * @packageDocumentation
 */
import type { WorkflowTestOptions } from './vitest.js';

export { testWorld, type WaitOptions, waitForHook, waitForSleep } from './vitest.js';

/** Options of {@link hookline}. */
export interface JestTestOptions extends Pick<WorkflowTestOptions, 'cwd' | 'worldPer'> {
  /** The folder of the compiled workflows. Default: in `node_modules/.cache`. */
  outDir?: string;
}

/**
 * Adds to a configuration of Jest: the workflows of the app are compiled with the SDK's own
 * compiler, and each test has a World in memory whose messages are delivered to them. The project's
 * own transformer, presets and set-up stay.
 *
 * @param config - The configuration, or a function that returns it, as `next/jest` makes one.
 *
 * @example
 * ```js
 * // jest.config.js
 * const { hookline } = require('hookline/jest');
 *
 * module.exports = hookline({ testEnvironment: 'node' });
 * ```
 */
export function hookline(
  config?: object | (() => object | Promise<object>),
  options?: JestTestOptions,
): () => Promise<object>;
