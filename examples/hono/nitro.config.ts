import { defineConfig } from 'nitro';

// Hono has no build step of its own; Nitro compiles the workflows.
export default defineConfig({
  modules: ['workflow/nitro'],
  routes: { '/**': './src/index.ts' },
  plugins: ['./plugins/delivery.ts'],
});
