/** The global set-up of the plugin for Vitest: it compiles the workflows. */
export { buildForProject as setup } from './vitest';
