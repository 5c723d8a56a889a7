import { defineConfig } from 'nitro';

export default defineConfig({
  serverDir: './server',
  // Hookline's module starts delivery with the server: sleeping and interrupted runs go on by
  // themselves.
  modules: ['workflow/nitro', 'hookline/nitro'],
});
