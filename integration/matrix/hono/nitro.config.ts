import { defineConfig } from 'nitro';

export default defineConfig({
  modules: ['workflow/nitro', 'hookline/nitro'],
  routes: { '/**': './src/index.ts' },
});
