const { hookline } = require('hookline/jest');

module.exports = hookline({
  testMatch: ['**/*.{suite,jest}.ts'],
  testTimeout: 20_000,
  transform: {
    '\\.m?[jt]s$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
});
