/** The SDK of line 5 writes a fan-out in batches, if the World has them. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../crash/harness';
import { type App, cleanUp, freshData, startApp } from './harness';

const LIMIT_MS = 60_000;
const RECORDING = join(__dirname, '../fixtures/recording-world.cjs') as `/${string}`;

interface Batch {
  what: string;
  types: string[];
  statuses: number[];
}

let app: App;
let folder: string;
beforeAll(async () => {
  folder = freshData();
  const env = { RECORD: join(folder, 'record') };
  app = await startApp({ data: freshData(), sdk: 'workflow-5', world: RECORDING, env });
}, LIMIT_MS * 2);
afterAll(cleanUp);

test(
  'a fan-out is one batch of steps that it executes and one of the others, and each runs once',
  async () => {
    const names = ['1', '2', '3', '4', '5', '6'];
    const runId = await app.start('fanOut', folder, names);
    for (const name of names) {
      await until(`step ${name}`, LIMIT_MS, () => existsSync(join(folder, `begun-${name}`)));
    }
    for (const name of names) writeFileSync(join(folder, `gate-${name}`), '');
    expect(await app.result(runId)).toEqual(names);
    const lines = readFileSync(join(folder, 'record'), 'utf8').trim().split('\n');
    const batches = lines.map((line) => JSON.parse(line) as Batch);
    const made = batches.filter(({ what }) => what === 'batch');
    const pair = ['step_created', 'step_started'];
    expect(made.map(({ types }) => types).toSorted((a, b) => b.length - a.length)).toEqual([
      [...pair, ...pair, ...pair],
      ['step_created', 'step_created', 'step_created'],
    ]);
    expect(made.flatMap(({ statuses }) => statuses)).toEqual(Array(9).fill(200));
    const types = await app.eventTypes(runId);
    for (const type of ['step_created', 'step_started', 'step_completed']) {
      expect(types.filter((one) => one === type)).toHaveLength(names.length);
    }
  },
  LIMIT_MS * 2,
);
