/**
 * `node bench/deliveries.mjs`: resumes with 128 in flight, with and without their deliveries beside, in
 * turns on one disk. Each side has a process and a database; one of them starts its worker, whose handler
 * does nothing. A ratio is made within a round: the rate with deliveries by the rate without. Prints the
 * median of the ratios, the least and the greatest.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    hooks: { type: 'string', default: '20000' },
    bytes: { type: 'string', default: '100,1500' },
  },
});
const RESUMES = 2000;
const folder = await mkdtemp(join(tmpdir(), 'hookline-deliveries-'));
const start = (name, env) =>
  startChild('hookline-child.mjs', [join(folder, `${name}.db`), options.hooks], [], env);
const sides = { with: start('with', { BENCH_DELIVERS: '1' }), without: start('without', {}) };
try {
  for (const child of Object.values(sides)) await child.tell('park');
  for (const bytes of options.bytes.split(',').map(Number)) {
    const ratios = [];
    for (let round = 0; round <= Number(options.rounds); round += 1) {
      const rates = { with: 0, without: 0 };
      const order = round % 2 === 0 ? ['with', 'without'] : ['without', 'with'];
      for (const side of [...order, ...order.toReversed()]) {
        const tell = { inFlight: 128, count: RESUMES, bytes };
        rates[side] += (await sides[side].tell('resume', tell)).perSecond;
        // What is still to be delivered is not for the other side to wait for.
        await sides[side].tell('settle');
      }
      // The first round warms up.
      if (round > 0) ratios.push(rates.with / rates.without);
    }
    const { median, min, max } = spread(ratios);
    const show = (number) => number.toFixed(2);
    console.log(`${bytes} B: ${show(median)} (${show(min)} ... ${show(max)})`);
  }
} finally {
  await Promise.all(Object.values(sides).map((child) => child.stop()));
  await rm(folder, { recursive: true, force: true });
}
