/**
 * Whether this process builds the app. A build evaluates modules of the app, and renders pages with
 * its server: it must neither open the database nor deliver.
 */
import { sep } from 'node:path';

/** The command lines of frameworks that build: `vite build`, `nuxt generate`. */
const BUILDS = new Set(['build', 'generate', 'prepare', 'sync']);

/** Whether this process, or the process that started it, builds an app. */
export function isBuilding(): boolean {
  const { NEXT_PHASE, SVELTEKIT_FORK } = process.env;
  // SvelteKit looks through the built server in a thread, which has another command line.
  if (NEXT_PHASE === 'phase-production-build' || SVELTEKIT_FORK) return true;
  const [, program = '', command = ''] = process.argv;
  return BUILDS.has(command) && program.includes(`${sep}node_modules${sep}`);
}
