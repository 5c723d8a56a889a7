import { defineConfig } from 'nitro';

export default defineConfig({
  modules: ['workflow/nitro', 'hookline/nitro'],
  routes: { '/**': { handler: './src/index.ts', format: 'node' } },
});
