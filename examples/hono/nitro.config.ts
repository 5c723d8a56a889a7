import { defineConfig } from 'nitro';

// Hono has no build step of its own; Nitro compiles the workflows. Hookline's module starts delivery
// with the server: sleeping and interrupted runs go on by themselves.
export default defineConfig({
  modules: ['workflow/nitro', 'hookline/nitro'],
  routes: { '/**': './src/index.ts' },
});
