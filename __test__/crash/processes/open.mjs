// Opens a database, which does not exist yet, and prints a line when it has; then waits to be
// killed.

import { writeSync } from 'node:fs';
import { createWorld } from 'hookline';

const staying = setInterval(() => undefined, 1000);
writeSync(1, 'opening\n');
await createWorld().runs.list();
writeSync(1, 'opened\n');
staying.ref();
