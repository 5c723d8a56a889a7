/** A timer of any length. */
import { after } from '../ts/engine/timer';

const DAY_MS = 24 * 3600 * 1000;

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

test.each([0, 1000, 30 * DAY_MS, 400 * DAY_MS])('what is due after %d ms runs then, once', (ms) => {
  const due = jest.fn();
  after(ms, due);
  jest.advanceTimersByTime(Math.max(0, ms - 1));
  expect(due).toHaveBeenCalledTimes(ms === 0 ? 1 : 0);
  jest.advanceTimersByTime(1);
  expect(due).toHaveBeenCalledTimes(1);
  jest.advanceTimersByTime(100 * DAY_MS);
  expect(due).toHaveBeenCalledTimes(1);
});

test('what is cancelled never runs, also in its second part', () => {
  const due = jest.fn();
  const cancel = after(40 * DAY_MS, due);
  jest.advanceTimersByTime(30 * DAY_MS);
  cancel();
  jest.advanceTimersByTime(100 * DAY_MS);
  expect(due).not.toHaveBeenCalled();
  expect(jest.getTimerCount()).toBe(0);
});
