import { hookline } from 'hookline/vitest';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  plugins: [hookline()],
  test: { globals: true, testTimeout: 20_000, include: ['**/*.{suite,vitest}.ts'] },
});
