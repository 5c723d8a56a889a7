/**
 * The limits, examples/bare_sqlite.rs and bare_postgres.rs, built in release mode and driven line by line;
 * and examples/distant.rs.
 */
import { execFile, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Builds a program, unless it is newer than what it is made of, and returns its path. */
export async function buildBare(name = 'bare_sqlite') {
  const built = join(root, 'target', 'release', 'examples', name);
  const sources = [`examples/${name}.rs`, 'Cargo.lock'].map((path) => join(root, path));
  const changedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (sources.every((source) => changedAt(source) < changedAt(built))) return built;
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
    stop: () => stop(child),
  };
}

/** Starts a proxy through which a server is so many microseconds away, each way. */
export async function startDistant(program, serverPort, distanceUs) {
  const child = spawn(program, [String(serverPort), String(distanceUs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  return {
    port: Number(value),
    stop: () => stop(child),
  };
}

/** The programs end with their input. */
async function stop(child) {
  child.stdin.end();
  if (child.exitCode === null) await new Promise((resolve) => child.once('close', resolve));
}
