/** `npx hookline` of this build, as an operator runs it: a process of its own. */
import { join } from 'node:path';
import { childEnv, ROOT, runNode } from './support';

export const CLI = join(ROOT, 'dist', 'cli.js');

interface Where {
  /** Variables beside those of this process. */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

interface Said {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command, and returns what it printed. */
export async function hookline(args: string[], { env, cwd = ROOT }: Where = {}): Promise<Said> {
  const { code, stdout, stderr } = await runNode([CLI, ...args], { cwd, env: childEnv(env) });
  return { code, stdout, stderr };
}

/** Runs a command with `--json`; `value` is its answer, `undefined` where it printed none. */
export async function hooklineJson(args: string[], where: Where = {}) {
  const { code, stdout, stderr } = await hookline([...args, '--json'], where);
  return { code, value: stdout === '' ? undefined : JSON.parse(stdout), stderr };
}

/** What `hookline doctor` says of one subject. */
export interface Finding {
  what: string;
  state: string;
  found: string;
  fix?: string;
}

/** All that `hookline doctor` finds. */
export async function findings(args: string[], where: Where = {}): Promise<Finding[]> {
  const { value, stderr } = await hooklineJson([...args, 'doctor'], where);
  if (value === undefined) throw new Error(stderr);
  return value.findings;
}
