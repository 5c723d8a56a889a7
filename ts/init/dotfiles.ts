/** `.gitignore` and `.env`. */
import type { Draft } from './draft';

/** Adds what is not ignored yet to `.gitignore`, which is made if there is none. */
export function ignoreFiles(draft: Draft, names: string[]): void {
  const text = draft.read('.gitignore') ?? '';
  const known = new Set(text.split(/\r?\n/).map(plain));
  const missing = names.filter((name) => !known.has(plain(name)));
  if (missing.length === 0) return;
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const gap = text === '' ? '' : text.endsWith('\n') ? end : end + end;
  const lines = ['# Workflows (hookline)', ...missing];
  draft.write('.gitignore', `${text}${gap}${lines.join(end)}${end}`);
}

/** A pattern without the parts that do not matter for a name in the app's folder. */
function plain(pattern: string): string {
  return pattern
    .trim()
    .replace(/^(?:\*\*\/|\/)/, '')
    .replace(/\/(?:\*\*?)?$/, '');
}

const FILES = ['.env', '.env.local', '.env.development', '.env.production'];

/**
 * Corrects a file of variables that names another World. Otherwise no variable is needed: the start
 * line names the World.
 */
export function correctWorld(draft: Draft): void {
  for (const path of FILES) {
    const text = draft.read(path);
    const line = /^([ \t]*(?:export[ \t]+)?WORKFLOW_TARGET_WORLD[ \t]*=)[^\r\n]*/m;
    if (text !== undefined) draft.write(path, text.replace(line, replaceOther));
  }
}

function replaceOther(line: string, assignment: string): string {
  const value = line
    .slice(assignment.length)
    .replace(/\s+#.*$/, '')
    .trim();
  return /^(['"`]?)hookline\1$/.test(value) ? line : `${assignment}hookline`;
}
