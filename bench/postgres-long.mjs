/** What takes long on Postgres: an idle worker, and a million messages. */
import { setTimeout as pause } from 'node:timers/promises';
import { REPORTED_AFTER_MS } from './postgres-server.mjs';
import { judged, spread } from './report.mjs';
import { startChild } from './rpc.mjs';

const IDLE_SECONDS = 20;
/** What a worker does when it begins is over by then. */
const SETTLED_MS = 15_000;
const ROUNDS_OF_CYCLES = 10;

/** The share of a core that an idle worker uses, and what it asks the server. */
export async function measureIdle({ server, say, schemaUrl, started }, { schema, size }) {
  say(`idle beside ${size} parked hooks`);
  const env = { BENCH_DELIVERS: '1' };
  const child = started(
    startChild('hookline-child.mjs', [schemaUrl(schema), String(size)], [], env),
  );
  await child.tell('settle');
  await pause(SETTLED_MS);
  const counts = await server.counted(IDLE_SECONDS, () =>
    child.tell('idle', { ms: IDLE_SECONDS * 1000 }),
  );
  const { worked, serverMs, ...counted } = counts;
  // What was counted is of a longer time: that until all is reported.
  const share = IDLE_SECONDS / (IDLE_SECONDS + REPORTED_AFTER_MS / 1000);
  const perSecond = Object.entries(counted).map(([name, number]) => [name, number * share]);
  const numbers = { ...Object.fromEntries(perSecond), serverMs };
  console.log(
    `idle worker beside ${size} parked hooks: ${(worked.share * 100).toFixed(2)} % of a core, ` +
      `${numbers.statements.toFixed(2)} statements and ${numbers.transactions.toFixed(2)} transactions a second, ` +
      `${numbers.serverMs.toFixed(2)} ms of the server's processors a second`,
  );
  const targets = [
    { what: 'share of a core of an idle worker', ...spread([worked.share]), most: 0.01 },
  ];
  return { ...numbers, share: worked.share, targets: targets.map(judged) };
}

/** Messages enqueued, claimed and acked, with autovacuum as it is: latency of a claim, size of the table. */
export async function measureCycles({ server, say, schemaUrl, started }, cycles) {
  const env = { BENCH_DELIVERS: '1' };
  const child = started(startChild('hookline-child.mjs', [schemaUrl('cycles'), '1'], [], env));
  const size = () =>
    Number(server.sql("SELECT pg_total_relation_size('cycles.messages') / 1024 / 1024"));
  const latency = () => child.tell('latency', { count: 200 });
  await latency();
  const before = await latency();
  const rounds = [];
  for (let number = 1; number <= ROUNDS_OF_CYCLES; number += 1) {
    const { perSecond } = await child.tell('cycles', {
      count: Math.floor(cycles / ROUNDS_OF_CYCLES),
    });
    rounds.push({ perSecond, mib: size(), ...(await latency()) });
    say(`cycles: ${number} of ${ROUNDS_OF_CYCLES}: ${JSON.stringify(rounds.at(-1))}`);
  }
  const after = rounds.at(-1);
  console.log(
    `${cycles} messages: enqueue to delivery ${before.p50Ms.toFixed(2)} ms before, ` +
      `${after.p50Ms.toFixed(2)} ms after; the table has ${after.mib} MiB`,
  );
  const targets = [
    {
      what: `enqueue to delivery after ${cycles} messages / before`,
      ...spread([after.p50Ms / before.p50Ms]),
      most: 1.5,
    },
  ];
  return { before, rounds, targets: targets.map(judged) };
}
