/** The set-up file for Jest: each test has a World in memory. */
import { useCompiled } from '../testing/compiled';
import { createTestWorld } from '../testing/index';
import { bundlesIn } from './build';
import type { Provided } from './jest';
import { endOfFile, nextWorld } from './test-runs';

const provided = (globalThis as unknown as { __HOOKLINE_JEST__: Provided }).__HOOKLINE_JEST__;
const { steps, workflows } = bundlesIn(provided.outDir, 'cjs');

useCompiled(async () => {
  // Jest's own `require`: a test can mock what the steps import.
  require(steps);
  return require(workflows);
});
createTestWorld();

let isFirst = true;

beforeEach(async () => {
  // The first test has the World that was made above: code of its file may have used it already.
  if (!isFirst && provided.worldPer !== 'file') await nextWorld();
  isFirst = false;
});

afterAll(endOfFile);
