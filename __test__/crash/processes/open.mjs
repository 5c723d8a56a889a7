// Opens a database that does not exist yet, prints a line, and then waits to be killed.

import { writeSync } from 'node:fs';
import { createWorld } from 'hookline';

const staying = setInterval(() => undefined, 1000);
writeSync(1, 'opening\n');
await createWorld().runs.list();
writeSync(1, 'opened\n');
staying.ref();
