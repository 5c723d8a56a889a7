/** The plugins as a user's configuration has them, with the runners' own types. */
import { hookline as hooklineForJest } from 'hookline/jest';
import { hookline, testWorld, waitForHook } from 'hookline/vitest';
import type { Config } from 'jest';
import { defineConfig } from 'vitest/config';

const jest: Config = { testEnvironment: 'node' };

export default {
  vitest: defineConfig({ plugins: [hookline({ worldPer: 'file' })] }),
  jest: hooklineForJest(jest),
};

export async function tokenOf(run: { runId: string }): Promise<string> {
  await testWorld().advance('1d');
  return (await waitForHook(run, { timeout: 1 })).token;
}
