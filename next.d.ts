/**
 * `hookline/next`: Hookline in a Next.js app.
 *
 * @packageDocumentation
 */

/** The part of Next.js's configuration that {@link withHookline} reads and adds to. */
export interface NextConfigObject {
  serverExternalPackages?: string[];
  outputFileTracingIncludes?: Record<string, string[]>;
}

/** A configuration that depends on the phase, as Next.js calls it. */
export type NextConfigFunction<T extends NextConfigObject = NextConfigObject> = (
  ...phase: any[]
) => T | Promise<T>;

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
 */
export function withHookline<T extends NextConfigObject>(
  config: NextConfigFunction<T>,
): (...phase: any[]) => Promise<T>;
export function withHookline<T extends NextConfigObject>(config?: T): T;

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
 * @throws {@link WorkflowWorldError} when the database cannot be opened.
 */
export function register(): Promise<void>;
