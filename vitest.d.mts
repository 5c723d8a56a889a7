/** The same surface for ES modules; `vitest.d.ts` documents it. */
export * from './vitest.js';
