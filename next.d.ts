/**
 * `hookline/next`: Hookline in a Next.js app.
 *
 * @packageDocumentation
 */

/** The settings that {@link withHookline} adds to a configuration of Next.js. */
export interface HooklineNextConfig {
  /** The app's own packages, and this one. */
  serverExternalPackages: string[];
  /** The app's own files, and the files of this package that run. */
  outputFileTracingIncludes: Record<string, string[]>;
}

/**
 * Adds the settings that this package needs to a Next.js configuration: Next.js keeps the package
 * out of its bundles, and copies the package's files with `output: 'standalone'`. Names Hookline as
 * the World of the Workflow SDK, unless `WORKFLOW_TARGET_WORLD` names another.
 *
 * Put it inside `withWorkflow()`, which reads the returned configuration.
 *
 * @example
 * ```ts
 * // next.config.ts
 * import { withHookline } from 'hookline/next';
 * import { withWorkflow } from 'workflow/next';
 *
 * export default withWorkflow(withHookline({}));
 * ```
 *
 * @throws `Error` when the package `workflow` is not installed, or its version is not supported.
 */
export function withHookline<T extends object, Phase extends unknown[]>(
  config: (...phase: Phase) => T | Promise<T>,
): (...phase: Phase) => Promise<T & HooklineNextConfig>;
export function withHookline<T extends object = object>(config?: T): T & HooklineNextConfig;

/**
 * Opens the database and begins to deliver, when the server starts: `startDelivery()` of `hookline`,
 * for Next.js. Does nothing on the edge runtime, and nothing when `WORKFLOW_TARGET_WORLD` names
 * another World. If the database cannot be opened, it prints the error and stops the process.
 *
 * @example
 * ```ts
 * // instrumentation.ts
 * export { register } from 'hookline/next';
 * ```
 */
export function register(): Promise<void>;
