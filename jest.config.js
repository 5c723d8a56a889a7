const { availableParallelism } = require('node:os');

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
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/\\.build/'],
  moduleNameMapper: { '^hookline$': '<rootDir>/dist/index.js' },
  transform: {
    '\\.m?[jt]s$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  testTimeout: 20_000,
};
