/**
 * The part of `npx hookline init` that knows frameworks and source code. It is a file of its own in
 * `dist/`, which only that command loads, because it holds a parser.
 */
export { createTwoFilesPatch as patchOf } from 'diff';
export type { App, ByHand, Change } from './draft';
export { NoAppError, type Plan, planFor } from './plan';
