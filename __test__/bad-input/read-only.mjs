// Uses databases on a read-only disk.
//
//   node read-only.mjs <folder on the disk>

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createWorld } from 'hookline';
import { handle, outcomeOf, SECRETS, seed, useDatabase } from './resume.mjs';

const [, , disk] = process.argv;
const [TOKEN, PAYLOAD] = SECRETS;
const report = {};

const world = useDatabase(join(disk, 'existing.db'));
await seed(world, TOKEN);
await world.close();
execFileSync('mount', ['-o', 'remount,ro', disk]);

report.existing = await handle(TOKEN, { text: PAYLOAD });
useDatabase(join(disk, 'new.db'));
report.fresh = await handle(TOKEN, { text: PAYLOAD });
useDatabase(join(disk, 'folder', 'new.db'));
report.folder = await handle(TOKEN, { text: PAYLOAD });
const reader = createWorld({ url: join(disk, 'existing.db'), role: 'reader' });
report.reader = await outcomeOf(reader.runs.list());

execFileSync('mount', ['-o', 'remount,rw', disk]);
useDatabase(join(disk, 'existing.db'));
report.writable = await handle(TOKEN, { text: PAYLOAD });
process.stdout.write(JSON.stringify(report));
