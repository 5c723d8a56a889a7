/** What parked hooks cost a process: one that uses them beside one that has a single hook. */
import { join } from 'node:path';
import { judged, MEMORY_MIB_MAX, spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const LOOK_UPS = 10_000;
const TIMES = 3;
const MIB = 1024 * 1024;
const KINDS = ['rss', 'heapUsed', 'external'];

/**
 * Both children start a worker and look hooks up as often, the small one always the same hook: what
 * differs is only how many there are.
 */
export async function measureMemory(folder, { size, files }) {
  const one = join(folder, 'one.db');
  const first = startChild('hookline-child.mjs', [one, '1']);
  await first.tell('park');
  await first.stop();
  const added = Object.fromEntries(KINDS.map((kind) => [kind, []]));
  for (let times = 0; times < TIMES; times += 1) {
    const small = await used(one, 1);
    const large = await used(files.ours, size);
    for (const kind of KINDS) added[kind].push((large[kind] - small[kind]) / MIB);
  }
  return {
    added: Object.fromEntries(KINDS.map((kind) => [kind, spread(added[kind])])),
    target: judged({
      what: `memory that ${size} parked hooks add, RSS in MiB`,
      ...spread(added.rss),
      most: MEMORY_MIB_MAX,
    }),
  };
}

async function used(file, size) {
  const child = startChild('hookline-child.mjs', [file, String(size)], ['--expose-gc']);
  try {
    return await child.tell('memory', { count: LOOK_UPS });
  } finally {
    await child.stop();
  }
}
