// Fills a small disk with resumes until they are refused, frees some space and goes on.
//
//   node full-disk.mjs <folder on the small disk> <folder that keeps copies>

import { copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getHookByToken } from 'hookline';
import { handle, outcomeOf, SECRETS, seed, useDatabase } from './resume.mjs';

const [, , disk, kept] = process.argv;
const [TOKEN, PAYLOAD] = SECRETS;
const BALLAST = join(disk, 'ballast');
const database = join(disk, 'hookline.db');
const report = { acknowledged: [] };

writeFileSync(BALLAST, Buffer.alloc(2 << 20));
let world = useDatabase(database);
const tokens = Array.from({ length: 8 }, (_, n) => `${TOKEN} ${n}`);
for (const token of tokens) await seed(world, token);

report.refused = await fill();
report.together = await Promise.all(tokens.map((token, n) => resume(token, `t${n}`)));
report.stream = await outcomeOf(world.writeToStream('s', 'wrun_s', new Uint8Array(64 << 10)));
report.read = (await getHookByToken(tokens[0])).token === tokens[0];
report.opening = await openAnother();
keep('full');

rmSync(BALLAST);
report.after = await resume(tokens[1], 'after');
report.streamAfter = await outcomeOf(world.writeToStream('s', 'wrun_s', 'chunk'));
report.openingAfter = await openAnother();
await world.close();
keep('after');

world = useDatabase(database);
report.reopened = await resume(tokens[2], 'reopened');
await world.close();
keep('reopened');
process.stdout.write(JSON.stringify(report));

async function resume(token, id) {
  const answer = await handle(token, { id, text: PAYLOAD.repeat(1000) });
  if (answer.status === 200) report.acknowledged.push(id);
  return answer;
}

async function fill() {
  for (let n = 0; n < 10_000; n += 1) {
    const answers = await Promise.all(
      [0, 1, 2].map((lane) => resume(tokens[(n + lane) % tokens.length], `${n}.${lane}`)),
    );
    const refused = answers.find((answer) => answer.status !== 200);
    if (refused) return refused;
  }
  return undefined;
}

/** Makes a new database on the full disk: it opens or it does not, but it is never half made. */
async function openAnother() {
  const { createWorld } = await import('hookline');
  const another = createWorld({ url: join(disk, 'another.db') });
  const outcome = await outcomeOf(another.writeToStream('s', 'wrun_s', 'chunk'));
  await another.close();
  return outcome;
}

function keep(name) {
  for (const suffix of ['', '-wal']) {
    if (existsSync(database + suffix)) copyFileSync(database + suffix, join(kept, name + suffix));
  }
}
