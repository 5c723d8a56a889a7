import { workflowTransformPlugin } from '@workflow/rollup';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [workflowTransformPlugin()],
  test: {
    globals: true,
    testTimeout: 20_000,
    include: ['story/*.suite.ts'],
    globalSetup: './manual/build.mjs',
    setupFiles: ['./manual/world.mjs'],
  },
});
