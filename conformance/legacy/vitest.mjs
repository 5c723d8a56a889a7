// What the suite gets when it imports `vitest`: the real one, except that `record()` can collect
// the cases of a suite instead of registering them, so that two worlds can be compared.

import { AsyncLocalStorage } from 'node:async_hooks';
import * as vitest from 'vitest';

export { assert, expect } from 'vitest';

// The suite needs Node 22 for this one function; Hookline supports Node 20.
Promise.withResolvers ??= () => {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
};

const current = new AsyncLocalStorage();
let recording;

/**
 * Runs `define`, which registers cases, and returns them as `{ name, run }`. `run({ limitMs, ended })`
 * gives up after `limitMs`, or as soon as `ended` says so of what the case has logged by then.
 */
export function record(define) {
  recording = [];
  try {
    define();
    return recording;
  } finally {
    recording = undefined;
  }
}

export function test(name, options, body) {
  if (!recording) return vitest.test(name, options, body);
  recording.push({ name, run: (until) => runCase(body, until) });
}

export function onTestFinished(callback) {
  const context = current.getStore();
  return context ? context.finished.push(callback) : vitest.onTestFinished(callback);
}

export function onTestFailed(callback) {
  const context = current.getStore();
  return context ? context.failed.push(callback) : vitest.onTestFailed(callback);
}

export const vi = {
  ...vitest.vi,
  waitFor(callback, options) {
    const limitMs = current.getStore()?.limitMs ?? Number.POSITIVE_INFINITY;
    return vitest.vi.waitFor(callback, {
      ...options,
      timeout: Math.min(options.timeout, limitMs),
    });
  },
};

const LOOK_MS = 100;

async function runCase(body, { limitMs, ended }) {
  const context = { finished: [], failed: [], limitMs };
  let limit;
  let looks;
  const givenUp = new Promise((_, reject) => {
    limit = setTimeout(reject, limitMs, new Error(`not finished within ${limitMs} ms`));
    looks = setInterval(() => {
      if (ended(collectLog(context.failed))) reject(new Error('given up'));
    }, LOOK_MS);
  });
  try {
    await current.run(context, () => Promise.race([body(), givenUp]));
    return { passed: true };
  } catch (error) {
    return { passed: false, message: error.message, log: collectLog(context.failed) };
  } finally {
    clearTimeout(limit);
    clearInterval(looks);
    for (const callback of context.finished) await callback();
  }
}

/** What the suite would print about a failed case: most of it is the output of its server. */
function collectLog(callbacks) {
  const { log, error } = console;
  const lines = [];
  console.log = console.error = (...values) => lines.push(values.join(' '));
  try {
    for (const callback of callbacks) callback();
  } finally {
    Object.assign(console, { log, error });
  }
  return lines.join('\n');
}
