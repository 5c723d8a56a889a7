// The official suite, @workflow/world-testing, against Hookline and against the SDK's own local
// world. README.md here lists the adaptations, with reasons.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const standIns = {
  vitest: here('legacy/vitest.mjs'),
  'workflow/internal/serialization': here('legacy/serialization.mjs'),
};

const adaptSuite = {
  name: 'adapt-world-testing',
  enforce: 'pre',
  resolveId: (source, importer) =>
    importer?.includes('/@workflow/world-testing/') ? (standIns[source] ?? null) : null,
};

export default defineConfig({
  root: here('.'),
  plugins: [adaptSuite],
  test: {
    include: ['*.test.mjs'],
    server: { deps: { inline: [/world-testing/] } },
  },
});
