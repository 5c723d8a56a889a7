/**
 * `hookline/next`: Hookline in a Next.js app.
 *
 * @packageDocumentation
 */

/** What {@link withHookline} sets in a configuration of Next.js. */
export interface HooklineNextConfig {
  /** The app's own, and this package. */
  serverExternalPackages: string[];
  /** The app's own, and the files of this package that run. */
  outputFileTracingIncludes: Record<string, string[]>;
}

/**
 * Adds to a Next.js configuration what this package needs: it stays out of the bundles, and its
 * files come along with `output: 'standalone'`. Names Hookline as the World of the Workflow SDK
 * unless `WORKFLOW_TARGET_WORLD` says another.
 *
 * Goes inside `withWorkflow()`, which reads what this returns.
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
 * @throws `Error` when the package `workflow` is not installed, or is of a version that is not
 *   supported.
 */
export function withHookline<T extends object, Phase extends unknown[]>(
  config: (...phase: Phase) => T | Promise<T>,
): (...phase: Phase) => Promise<T & HooklineNextConfig>;
export function withHookline<T extends object = object>(config?: T): T & HooklineNextConfig;

/**
 * Opens the database and begins to deliver, when the server starts. Does nothing on the edge
 * runtime, and nothing when `WORKFLOW_TARGET_WORLD` names another World.
 *
 * @example
 * ```ts
 * // instrumentation.ts
 * export { register } from 'hookline/next';
 * ```
 *
 * @throws `WorkflowWorldError` when the database cannot be opened.
 */
export function register(): Promise<void>;
