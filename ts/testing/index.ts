/** `hookline/testing`: a World in memory for the tests of users. `../../testing.d.ts` documents it. */
export { createTestWorld } from './test-world';
