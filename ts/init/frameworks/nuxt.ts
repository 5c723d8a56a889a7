/** Nuxt: its module for workflows, and ours for its Nitro. */
import { addName, configObject } from '../config';
import type { Draft } from '../draft';
import { addNitroModule } from './vite';

const CONFIG = `export default defineNuxtConfig({
  modules: ['workflow/nuxt'],
  nitro: { modules: ['hookline/nitro'] },
});
`;

/** Plans a Nuxt app. */
export function nuxt(draft: Draft): string[] {
  const path = draft.findModule('nuxt.config') ?? 'nuxt.config.ts';
  draft.editOrCreate(path, CONFIG, (code) => {
    const config = configObject(code);
    addName(code, config, 'modules', 'workflow/nuxt');
    addNitroModule(code, config);
  });
  return [];
}
