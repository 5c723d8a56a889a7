/** The packed tarballs, unpacked into apps of their own as an installation would. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newFolder, ROOT, runNode } from './support';

const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** The platform of this machine, by the name of what was built on it. */
export const BUILT = readdirSync(join(ROOT, 'native'))
  .find((name) => name.endsWith('.node'))
  ?.split('.')[1] as string;

let packages: string;

/** Packs the build; for `beforeAll`. Returns the script's report about each tarball. */
export async function packAll(): Promise<string[]> {
  packages = newFolder();
  const ended = await runNode([join(ROOT, 'scripts', 'pack.mjs'), packages]);
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  return ended.stdout.trimEnd().split('\n');
}

/** The file of a packed package. */
export function tarball(name: string): string {
  return join(packages, `${name}-${version}.tgz`);
}

/** Makes a folder, and unpacks a package into it. */
export function extract(name: string, to: string): void {
  mkdirSync(to, { recursive: true });
  execFileSync('tar', ['xzf', tarball(name), '-C', to, '--strip-components', '1']);
}

/** The other contents of an app. */
export interface Dependencies {
  /** Whether the platform's package is there. Default true. */
  addon?: boolean;
  /** The SDK: the real SDK of the tests, or a package with only a name and this version. */
  workflow?: 'real' | string;
}

/** An app in a folder of its own, with the package installed. */
export function newApp({ addon = true, workflow }: Dependencies = {}): string {
  const app = newFolder();
  const modules = join(app, 'node_modules');
  extract('hookline', join(modules, 'hookline'));
  if (addon) extract(`hookline-${BUILT}`, join(modules, `hookline-${BUILT}`));
  if (workflow === 'real') symlinkSync(join(ROOT, 'node_modules', 'workflow'), sdkOf(app));
  else if (workflow) {
    mkdirSync(sdkOf(app));
    const manifest = JSON.stringify({ name: 'workflow', version: workflow });
    writeFileSync(join(sdkOf(app), 'package.json'), manifest);
  }
  return app;
}

function sdkOf(app: string): string {
  return join(app, 'node_modules', 'workflow');
}
