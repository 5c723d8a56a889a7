/** Scripts of `environments/` that go on running, so that a test can ask, pause and kill them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { linesOf, until } from './crash/harness';
import { childEnv, ROOT } from './support';

const LINE_LIMIT_MS = 60_000;
const children: ChildProcess[] = [];

export interface LiveScript {
  child: ChildProcess;
  pid: number;
  /** What it has printed. */
  lines: string[];
  /** The first line that begins so, as soon as it is printed. */
  line: (begin: string) => Promise<string>;
}

/** Starts a script of `environments/`, with variables beside those of this process. */
export function startScript(
  script: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
): LiveScript {
  const path = join(ROOT, '__test__', 'environments', script);
  const child = spawn(process.execPath, [path, ...args], { cwd: ROOT, env: childEnv(env) });
  children.push(child);
  const lines = linesOf(child);
  const printed = (begin: string) => lines.find((it) => it.startsWith(begin));
  const line = async (begin: string) => {
    const holds = () => printed(begin) !== undefined;
    await until(`${begin} of ${script}`, LINE_LIMIT_MS, holds).catch((error) => {
      throw new Error(`${error.message}\n${lines.join('\n')}`);
    });
    return printed(begin) as string;
  };
  return { child, pid: child.pid as number, lines, line };
}

/** Kills the scripts that this file has started. */
export function killScripts(): void {
  for (const child of children.splice(0)) child.kill('SIGKILL');
}
