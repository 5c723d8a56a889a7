// The suite exactly as published, bundles included. Those were compiled for a World interface that
// the SDK has since replaced, so no world of 4.8.9 can pass; what can be shown is that Hookline
// fails nothing that the SDK's own world-local passes, and for the same reason.

import { createTestSuite } from '@workflow/world-testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { removeData, useFreshData, WORLDS } from './environment.mjs';
import { record } from './legacy/vitest.mjs';

/** The longest of the suite's own limits. No case waits for it once its server is broken. */
const CASE_LIMIT_MS = 60_000;
const SUITE_LIMIT_MS = 90_000;
const BROKEN = /TypeError: [^"'\n]*/g;
const CASES = record(() => createTestSuite('local')).map((one) => one.name);
const outcomes = new Map();

beforeAll(async () => {
  const runs = WORLDS.flatMap((world) =>
    record(() => createTestSuite(world)).map(({ name, run }) => {
      useFreshData();
      return run({ limitMs: CASE_LIMIT_MS, ended: (log) => log.match(BROKEN) !== null }).then(
        (outcome) => outcomes.set(`${world} ${name}`, outcome),
      );
    }),
  );
  await Promise.all(runs);
  console.log(CASES.map(describeCase).join('\n'));
}, SUITE_LIMIT_MS);
afterAll(removeData);

describe('hookline fails no case that world-local passes', () => {
  test.each(CASES)('%s', (name) => {
    expect(verdict('hookline', name)).toEqual(verdict('local', name));
  });
});

function describeCase(name) {
  return [name, ...WORLDS.map((world) => `  ${world}: ${verdict(world, name)}`)].join('\n');
}

/** `passed`, or why not: what broke in the server, else what the case itself says. */
function verdict(world, name) {
  const { passed, message, log } = outcomes.get(`${world} ${name}`);
  if (passed) return 'passed';
  const broken = new Set(log.match(BROKEN));
  return `failed: ${broken.size ? [...broken].sort().join('; ') : message}`;
}
