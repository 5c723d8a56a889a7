/** The same surface for ES modules; `testing.d.ts` documents it. */
export * from './testing.js';
