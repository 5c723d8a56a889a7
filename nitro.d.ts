/**
 * `hookline/nitro`: Hookline in an app that Nitro builds.
 *
 * @packageDocumentation
 */

/** What the module uses of Nitro, in versions 2 and 3. */
interface Nitro {
  options: {
    dev: boolean;
    preset: string;
    buildDir: string;
    plugins: string[];
    virtual: Record<string, unknown>;
    /** Only Nitro 2 has it. */
    moduleSideEffects?: string[];
  };
  hooks: { hook(name: string, listener: (...args: any[]) => void): unknown };
}

/**
 * A module for Nitro 2 and 3, for Nuxt, and for Vite with Nitro. It starts delivery when the server
 * starts, in development and in the built server, and names Hookline as the World of the Workflow
 * SDK, unless `WORKFLOW_TARGET_WORLD` names another World when the server starts.
 *
 * If the database cannot be opened, the server prints the error and stops with exit code 1.
 *
 * @example
 * ```ts
 * // nitro.config.ts
 * import { defineConfig } from 'nitro';
 *
 * export default defineConfig({
 *   modules: ['workflow/nitro', 'hookline/nitro'],
 * });
 * ```
 *
 * @example
 * In `nuxt.config.ts`, and in `vite.config.ts` with Nitro:
 * ```ts
 * nitro: { modules: ['hookline/nitro'] },
 * ```
 */
declare const hookline: { name: string; setup(nitro: hookline.Nitro): void };
declare namespace hookline {
  export { Nitro };
}
export = hookline;
