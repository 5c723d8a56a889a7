// Gives the crate the version of the package; part of `npm version`.

import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));

for (const name of ['Cargo.toml', 'Cargo.lock']) {
  const text = await readFile(join(root, name), 'utf8');
  const crate = /^(name = "hookline"\nversion = )".+"$/m;
  if (!crate.test(text)) throw new Error(`${name} no longer names the crate as known`);
  await writeFile(join(root, name), text.replace(crate, `$1"${version}"`));
}
