/**
 * `npm run bench:compare -- CHECKOUT`: this build beside that of another checkout, in turns on one disk.
 *
 * Each has a process and a database of its own; in a round both do everything, once in this order and
 * once in the other, so that what the machine does meanwhile is on both sides. A ratio is made within a
 * round; above 1, this build is slower. Prints the median of the ratios, the least and the greatest.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '7' },
    hooks: { type: 'string', default: '5000' },
    bytes: { type: 'string', default: '100,600,1500,4096,65536' },
    logs: { type: 'string', default: '100,600,1500' },
  },
});
const other = resolve(positionals[0] ?? '.');
const hooks = Number(options.hooks);
const numbers = (text) => text.split(',').filter(Boolean).map(Number);
const sizes = numbers(options.bytes);
/** Sizes of the payloads in the logs that are read. */
const logs = numbers(options.logs);

/** What is measured, and which of its numbers count. */
const measurements = [
  ...sizes.map((bytes) => ({
    name: `resume, 1 in flight, ${bytes} B`,
    tell: ['resume', { inFlight: 1, count: 300, bytes }],
    numbers: ['p50Ms', 'p99Ms', 'longestMs', 'cpuMs'],
  })),
  ...sizes.map((bytes) => ({
    name: `resume, 128 in flight, ${bytes} B`,
    tell: ['resume', { inFlight: 128, count: bytes > 10_000 ? 500 : 3000, bytes }],
    numbers: ['msEach', 'cpuMs'],
  })),
  { name: 'look-up', tell: ['lookUp', { count: 5000 }], numbers: ['p50Ms', 'p99Ms'] },
  ...logs.flatMap((bytes) =>
    [true, false].flatMap((isLong) =>
      [true, false].map((isCold) => ({
        name: `log of ${isLong ? '10,000' : '100'}, ${bytes} B, ${isCold ? 'cold' : 'warm'}`,
        tell: ['readLogs', { bytes, isLong, isCold }],
        numbers: ['p50Ms'],
      })),
    ),
  ),
];

const folder = await mkdtemp(join(tmpdir(), 'hookline-compare-'));
const builds = { this: resolve('.'), other };
const children = Object.fromEntries(
  Object.entries(builds).map(([name, checkout]) => {
    const build = pathToFileURL(join(checkout, 'dist', 'index.mjs')).href;
    const args = [join(folder, `${name}.db`), String(hooks)];
    return [name, startChild('hookline-child.mjs', args, [], { BENCH_BUILD: build })];
  }),
);
try {
  for (const child of Object.values(children)) {
    await child.tell('park');
    for (const [place, bytes] of logs.entries()) {
      await child.tell('writeLogs', { bytes, first: place * 1100 });
    }
  }
  const ratios = {};
  for (let round = 0; round <= Number(options.rounds); round += 1) {
    for (const { name, tell, numbers } of measurements) {
      const order = round % 2 === 0 ? ['this', 'other'] : ['other', 'this'];
      const found = {};
      for (const side of [...order, ...order.toReversed()]) {
        const { perSecond, ...rest } = await children[side].tell(...tell);
        found[side] ??= [];
        found[side].push({ ...rest, msEach: 1000 / perSecond });
      }
      // The first round warms up.
      for (const number of round > 0 ? numbers : []) {
        const mean = (side) => (found[side][0][number] + found[side][1][number]) / 2;
        ratios[`${name}, ${number}`] ??= [];
        ratios[`${name}, ${number}`].push({
          ratio: mean('this') / mean('other'),
          at: mean('this'),
        });
      }
    }
    console.error(`round ${round} of ${options.rounds}`);
  }
  const rows = Object.entries(ratios).map(([name, samples]) => {
    const { median, min, max } = spread(samples.map(({ ratio }) => ratio));
    const show = (number) => number.toFixed(2);
    const ms = spread(samples.map(({ at }) => at)).median.toFixed(3);
    return { measured: name, ratio: show(median), least: show(min), greatest: show(max), ms };
  });
  console.table(rows);
} finally {
  await Promise.all(Object.values(children).map((child) => child.stop()));
  await rm(folder, { recursive: true, force: true });
}
