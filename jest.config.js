const { availableParallelism } = require('node:os');

/** What runs once per store: with HOOKLINE_TEST_POSTGRES on a Postgres server (`npm run test:postgres`). */
const OF_EVERY_STORE = [
  'storage',
  'queue',
  'streams',
  'resume-hook',
  'start',
  'webhook',
  'idempotency',
  'encryption',
  'wake-ups',
  'from-spec-six',
  'awaiting',
  'http-{answers,delivery}',
  'closing',
  'commands',
  'import',
  'migrate',
  'move',
  'stock-tools',
  'crash/*',
  'sdk/{api,batches,clocks,encryption,hooks-to-come,in-transactions,many-resumes,overlaps,paused}',
  'sdk/{processes,refusals,releases*,restarts,retained-tokens,retention,rolling-deploys}',
  'sdk/{same-results,stress,webhooks}',
];

/**
 * Tests of the TypeScript layer and of the built package. `npm run build` comes first: what a user
 * would import is tested as `dist/`, under its own name.
 *
 * Most of them wait for processes of their own, so two workers pay off on two processors too.
 *
 * @type {import('jest').Config}
 */
module.exports = {
  maxWorkers: Math.max(2, availableParallelism() - 1),
  roots: ['<rootDir>/__test__'],
  testMatch: process.env.HOOKLINE_TEST_POSTGRES
    ? OF_EVERY_STORE.map((name) => `<rootDir>/__test__/${name}.test.ts`)
    : ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/\\.build/'],
  moduleNameMapper: { '^hookline$': '<rootDir>/dist/index.js' },
  transform: {
    '\\.m?[jt]s$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  testTimeout: 60_000,
};
