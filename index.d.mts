/** The same surface for ES modules; `index.d.ts` documents it. */
export * from './index.js';
export { createWorld as default } from './index.js';
