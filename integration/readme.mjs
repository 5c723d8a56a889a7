// The README as a new user follows it: its files are written, its commands are typed.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const path = join(dirname(fileURLToPath(import.meta.url)), '..', 'README.md');

/** The code blocks of a section (a heading of the second level) in order. */
export async function section(title) {
  const text = await readFile(path, 'utf8');
  const [, rest] = text.split(`\n## ${title}\n`);
  if (rest === undefined) throw new Error(`The README has no section "${title}".`);
  const [own] = rest.split('\n## ');
  return [...own.matchAll(/^( *)```(\w+)\n(.+?)^\1```$/gms)].map(([, indent, language, code]) =>
    block(language, code.replaceAll(new RegExp(`^${indent}`, 'gm'), '')),
  );
}

/** A file, named by the comment in its first line, or commands. */
function block(language, code) {
  const [first, ...rest] = code.split('\n');
  const [, file] = /^(?:\/\/|#) (\S+)$/.exec(first) ?? [];
  if (file) return { file, content: rest.join('\n') };
  if (language !== 'sh') throw new Error(`This block of the README names no file:\n${code}`);
  return { commands: commandsOf(code) };
}

/** Commands, each with the output that the comment after it promises. */
function commandsOf(code) {
  const commands = [];
  for (const line of code.split('\n').filter((line) => line !== '')) {
    if (line.startsWith('# ')) commands.at(-1).promised = line.slice(2);
    else commands.push({ command: line.replace(/\s+# .*$/, '') });
  }
  return commands;
}

/** Whether an output matches the expected one, in which `...` matches anything. */
export function keeps(promised, output) {
  const parts = promised.split('...').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(output.trim());
}

/** Writes the files of some blocks into a folder. */
export async function writeFiles(folder, blocks) {
  for (const { file, content } of blocks.filter(({ file }) => file)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), content);
  }
}
