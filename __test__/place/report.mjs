// Writes to a database and reports what came of it, and what was warned of.
//
//   node report.mjs <file>

import { createWorld } from 'hookline';

const [, , url] = process.argv;
const warnings = [];
process.on('warning', ({ name, code, message }) => {
  if (name === 'HooklineWarning') warnings.push({ code, message });
});
const write = async () => {
  const world = createWorld({ url });
  try {
    await world.closeStream('s', 'wrun_s');
    return undefined;
  } catch ({ name, code, message }) {
    return { name, code, message };
  } finally {
    await world.close();
  }
};
// Twice: what is warned of is warned of once in a process.
const errors = [await write(), await write()];
await new Promise(setImmediate);
process.stdout.write(JSON.stringify({ error: errors[1], warnings }));
