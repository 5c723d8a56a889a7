/** Calls into a child process: each measured process has one World and nothing else to do. */
import { fork } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** Starts a script of this folder; `tell(command, options)` resolves to its answer. */
export function startChild(script, args, execArgv = [], env = {}) {
  const child = fork(join(here, script), args, { execArgv, env: { ...process.env, ...env } });
  let waiting;
  child.on('message', (message) => {
    if (message.error) waiting.reject(new Error(message.error));
    else waiting.resolve(message.answer);
  });
  child.on('exit', (code) => waiting?.reject(new Error(`${script} ended with code ${code}`)));
  return {
    pid: child.pid,
    tell(command, options) {
      return new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        child.send({ command, options });
      });
    },
    async stop() {
      waiting = undefined;
      if (child.exitCode !== null) return;
      child.send({ command: 'stop' });
      await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

/** The child's side: answers commands until it is told to stop, then calls `close`. */
export function obey(commands, close) {
  // Its parent has been killed.
  process.once('disconnect', () => process.exit(1));
  process.on('message', async ({ command, options }) => {
    if (command === 'stop') {
      await close();
      process.exit(0);
    }
    try {
      process.send({ answer: await commands[command](options) });
    } catch (error) {
      process.send({ error: String(error.stack ?? error) });
    }
  });
}
