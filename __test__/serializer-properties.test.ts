/** Random values of every documented type, through the bundled serializer and through the SDK. */
import { join } from 'node:path';
import { ROOT, runNode } from './support';

const SEED = Number(process.env.HOOKLINE_TEST_SEED) || Date.now() % 1_000_000_000;
const VALUES = 400;

test('whatever the SDK or the bundled serializer writes, the other reads alike', async () => {
  const script = join(ROOT, '__test__', 'fixtures', 'serializer-properties.mjs');
  const ended = await runNode([script, String(SEED), String(VALUES)], { timeout: 110_000 });
  const again = `HOOKLINE_TEST_SEED=${SEED}\n${ended.stderr}`;
  expect({ code: ended.code, again }).toEqual({ code: 0, again });
  const { compared, streamed, failures } = JSON.parse(ended.stdout);
  expect({ failures, again }).toEqual({ failures: [], again });
  expect([compared, streamed]).toEqual([VALUES, VALUES / 10]);
}, 120_000);
