/** `@workflow/world-local` beside Hookline, with as many hooks; few calls, because each is slow. */
import { join } from 'node:path';
import { spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const ROUNDS = 5;
const CALLS = 3;

export async function measureLocal(folder, subject, drain) {
  const { size, ours } = subject;
  const child = startChild('local-child.mjs', [join(folder, `local-${size}`), String(size)]);
  const rounds = [];
  try {
    await child.tell('park');
    for (let round = 0; round < ROUNDS; round += 1) {
      const once = { inFlight: 1, count: CALLS };
      const local = await child.tell('resume', once);
      const hookline = await ours.tell('resume', { inFlight: 1, count: 100 });
      await drain(subject, 'ours');
      rounds.push({ local: local.p50Ms, hookline: hookline.p50Ms });
    }
  } finally {
    await child.stop();
  }
  return {
    size,
    localMs: spread(rounds.map(({ local }) => local)),
    hooklineMs: spread(rounds.map(({ hookline }) => hookline)),
    ratio: spread(rounds.map(({ local, hookline }) => local / hookline)),
  };
}

export function printLocal({ size, localMs, hooklineMs, ratio }) {
  console.log(
    `\nresumeHook at ${size} hooks, 1 in flight, p50: world-local ${localMs.median.toFixed(1)} ms, ` +
      `Hookline ${hooklineMs.median.toFixed(3)} ms (${ratio.median.toFixed(0)} times; ` +
      `${ratio.min.toFixed(0)} ... ${ratio.max.toFixed(0)})`,
  );
}
