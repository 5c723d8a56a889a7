/**
 * The set-up file of the plugin for Vitest. Vitest itself evaluates this file, so the import below
 * is Vitest's own: a test can mock what the steps import.
 */
import { statSync } from 'node:fs';
import { afterAll, beforeEach, inject } from 'vitest';
import type { WorkflowTestOptions } from '../../vitest';
import { nextWorld, PROVIDED, setupWorkflowTests, teardownWorkflowTests } from './vitest';

const FILES = Symbol.for('hookline//test-files');

/** How many test files this process has set up: more than one, if Vitest does not isolate them. */
const globals = globalThis as { [FILES]?: number };
globals[FILES] = (globals[FILES] ?? 0) + 1;

const options = inject(PROVIDED as never) as WorkflowTestOptions;

await setupWorkflowTests(
  options,
  // Vitest keeps a file that it has imported, so it needs another name when it was written anew, and
  // for the mocks of another test file.
  (file) =>
    import(
      /* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ `${file}?${statSync(file).mtimeMs}-${globals[FILES]}`
    ),
);

let isFirst = true;

beforeEach(async ({ task }) => {
  // The first test has the World that was made above: code of its file may have used it already.
  // Tests that run at the same time share one.
  const isOwn = !isFirst && options.worldPer !== 'file' && !task.concurrent;
  isFirst = false;
  if (isOwn) await nextWorld();
});

afterAll(teardownWorkflowTests);
