/**
 * `node bench/long-reader.mjs [--seconds 300] [--build CHECKOUT]`: full load beside a reader that does not
 * end, and after it has ended. Prints, second by second, how long the log is, how much is done, and the
 * longest time in which nothing was.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { buildBare, startBare } from './bare.mjs';
import { startChild } from './rpc.mjs';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    after: { type: 'string', default: '20' },
    build: { type: 'string', default: '.' },
    bytes: { type: 'string', default: '600' },
  },
});
const SLICE_MS = 1000;
const load = { inFlight: 64, ms: SLICE_MS, bytes: Number(options.bytes) };

const folder = await mkdtemp(join(tmpdir(), 'hookline-reader-'));
const database = join(folder, 'world.db');
const build = pathToFileURL(join(resolve(options.build), 'dist', 'index.mjs')).href;
const child = startChild('hookline-child.mjs', [database, '5000'], [], { BENCH_BUILD: build });
const reader = startBare(await buildBare(), join(folder, 'unused.db'));
try {
  await child.tell('park');
  await phase('before', 5);
  await reader.tell(`hold ${database}`);
  await phase('beside a reader', Number(options.seconds));
  await reader.tell('let-go');
  await phase('after it', Number(options.after));
} finally {
  await Promise.all([child.stop(), reader.stop()]);
  await rm(folder, { recursive: true, force: true });
}

async function phase(name, seconds) {
  const slices = [];
  for (let second = 0; second < seconds; second += 1) {
    const slice = await child.tell('load', load);
    slices.push({ ...slice, logMiB: (await stat(`${database}-wal`)).size / 2 ** 20 });
  }
  const most = (number) => Math.max(...slices.map((slice) => slice[number]));
  const sum = (number) => slices.reduce((total, slice) => total + slice[number], 0);
  const gaps = slices.map(({ longestGapMs }) => longestGapMs).toSorted((a, b) => b - a);
  console.log(
    `${name}: ${Math.round(sum('done') / seconds)} a second, ${sum('throttled')} throttled; ` +
      `log ${Math.round(most('logMiB'))} MiB at most, ${Math.round(slices.at(-1).logMiB)} at the end; ` +
      `longest gaps ${gaps.slice(0, 5).map(Math.round).join(', ')} ms`,
  );
}
