const { availableParallelism } = require('node:os');

/**
 * What runs once per store: with HOOKLINE_TEST_POSTGRES on a Postgres server (`npm run test:postgres`).
 * Of these, every change must pass the first; the others take long, and run with HOOKLINE_TEST_LONG.
 */
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
  'commands',
  'migrate',
  'move',
  'sdk/{api,encryption,in-transactions,same-results,webhooks}',
];
const OF_EVERY_STORE_LONG = [
  'http-{answers,delivery}',
  'closing',
  'import',
  'stock-tools',
  'crash/*',
  'sdk/{batches,clocks,hooks-to-come,many-resumes,overlaps,paused,processes,refusals,releases*}',
  'sdk/{restarts,retained-tokens,retention,rolling-deploys,stress}',
];
const onPostgres = process.env.HOOKLINE_TEST_LONG
  ? [...OF_EVERY_STORE, ...OF_EVERY_STORE_LONG]
  : OF_EVERY_STORE;

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
    ? onPostgres.map((name) => `<rootDir>/__test__/${name}.test.ts`)
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
