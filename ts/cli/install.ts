/** Installs packages with the package manager of a project. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Agent, detect, getUserAgent, resolveCommand } from 'package-manager-detector';
import { CommandError, EXIT } from './context';
import type { Printer } from './print';

/** One run of a package manager. */
export interface Install {
  /** The command line. */
  text: string;
  /** @throws CommandError when it fails. */
  run(print: Printer): Promise<void>;
}

/**
 * The installations that a plan needs, by the lock file, or by who has started this program.
 *
 * Those for development are taken exactly as named: compilers have to fit the SDK's.
 */
export async function installsFor(
  folder: string,
  { packages, devPackages }: { packages: string[]; devPackages: string[] },
): Promise<Install[]> {
  const found = await detect({ cwd: folder });
  const agent = found?.agent ?? getUserAgent() ?? 'npm';
  return [
    ...(packages.length > 0 ? [installOf(folder, agent, packages)] : []),
    ...(devPackages.length > 0 ? [installOf(folder, agent, ['-D', '-E', ...devPackages])] : []),
  ];
}

function installOf(folder: string, agent: Agent, names: string[]): Install {
  // Deno has other sources of packages too, and takes what is named exactly without being told.
  const wanted =
    agent === 'deno'
      ? names.filter((name) => name !== '-E').map((name) => name.replace(/^(?!-)/, 'npm:'))
      : names;
  const { command, args } = resolveCommand(agent, 'add', wanted) ?? {
    command: 'npm',
    args: ['install', ...wanted],
  };
  const text = [command, ...args].join(' ');
  return {
    text,
    async run({ json }) {
      // The answer for a script is the only thing on standard output.
      const output = json ? process.stderr : 'inherit';
      const shell = process.platform === 'win32';
      const child = spawn(command, args, {
        cwd: folder,
        shell,
        stdio: ['ignore', output, 'inherit'],
      });
      const code = await once(child, 'close').then(
        ([code]) => code as number | null,
        (error: Error) => error.message,
      );
      if (code === 0) return;
      const message = `The files are changed, but this failed (${code}). Run it yourself: ${text}`;
      throw new CommandError(message, EXIT.failed);
    },
  };
}
