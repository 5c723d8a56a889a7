// Writes to a database and reports the outcome and the warnings.
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
// Twice, because each warning is given once in a process.
const errors = [await write(), await write()];
await new Promise(setImmediate);
process.stdout.write(JSON.stringify({ error: errors[1], warnings }));
