/** The limits: examples/bare_sqlite.rs and bare_postgres.rs, built in release mode and driven line by line. */
import { execFile, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Builds a program and returns its path. */
export async function buildBare(name = 'bare_sqlite') {
  const example = ['--release', '--locked', '--example', name];
  const cargo = ['build', ...example, '--message-format', 'json'];
  const { stdout } = await promisify(execFile)('cargo', cargo, { cwd: root, maxBuffer: 1 << 28 });
  const messages = stdout.split('\n').filter(Boolean).map(JSON.parse);
  return messages.find(({ target, executable }) => target?.name === name && executable).executable;
}

/** Starts a program on its own file or database; `tell(command)` resolves to its answer. */
export function startBare(program, ...place) {
  const child = spawn(program, place, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid,
    async tell(command) {
      child.stdin.write(`${command}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} ended at "${command}"`);
      return JSON.parse(value);
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await new Promise((resolve) => child.once('close', resolve));
    },
  };
}
