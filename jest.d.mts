/** The same surface for ES modules; `jest.d.ts` documents it. */
export * from './jest.js';
