import { cp } from 'node:fs/promises';
import { resolve } from 'node:path';
import { reactRouter } from '@react-router/dev/vite';
import { nitro } from 'nitro/vite';
import { defineConfig } from 'vite';
import { workflow } from 'workflow/vite';
import reactRouterConfig from './react-router.config';

export default defineConfig({
  plugins: [
    reactRouter(),
    nitro({ serverDir: './server', modules: ['hookline/nitro'] }),
    {
      name: 'react-router-nitro-manifest',
      applyToEnvironment: (environment) => environment.name === 'client',
      async writeBundle(options) {
        const manifest = resolve(reactRouterConfig.buildDirectory, 'client/.vite');
        await cp(resolve(options.dir as string, '.vite'), manifest, { recursive: true });
      },
    },
    workflow({ dirs: ['workflows'] }),
  ],
  environments: {
    ssr: { build: { rollupOptions: { input: './server/ssr.ts' } } },
  },
});
