/** The limit: examples/bare_sqlite.rs, built in release mode and driven line by line. */
import { execFile, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const example = ['--release', '--locked', '--example', 'bare_sqlite'];

/** Builds the program and returns its path. */
export async function buildBare() {
  const cargo = ['build', ...example, '--message-format', 'json'];
  const { stdout } = await promisify(execFile)('cargo', cargo, { cwd: root, maxBuffer: 1 << 28 });
  const messages = stdout.split('\n').filter(Boolean).map(JSON.parse);
  return messages.find(({ target, executable }) => target?.name === 'bare_sqlite' && executable)
    .executable;
}

/** Starts the program on its own file; `tell(command)` resolves to its answer. */
export function startBare(program, path) {
  const child = spawn(program, [path], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async tell(command) {
      child.stdin.write(`${command}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`bare_sqlite ended at "${command}"`);
      return JSON.parse(value);
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await new Promise((resolve) => child.once('close', resolve));
    },
  };
}
