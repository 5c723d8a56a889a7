import { hookline } from 'hookline/vitest';
import { defineConfig } from 'vitest/config';

export default defineConfig({ plugins: [hookline()] });
