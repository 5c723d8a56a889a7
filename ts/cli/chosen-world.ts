/** Which World the SDK of the app will use, as far as its folder says. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { installed } from '../setup/installed-sdk';
import type { Finding } from './finding';

const VARIABLE = 'WORKFLOW_TARGET_WORLD';

/**
 * The World that the SDK is told to use. A living worker of this database was told so, wherever it
 * was.
 */
export function chosenWorld(hasWorker: boolean): Finding {
  const what = 'World of the SDK';
  const { [VARIABLE]: here } = process.env;
  const chosen = here ? { name: here, by: VARIABLE } : chosenByFile();
  if (chosen && chosen.name !== 'hookline') {
    const found = `${chosen.by} says ${chosen.name}`;
    return { what, state: 'warning', found, fix: SET };
  }
  if (chosen && !installed('hookline')) {
    const fix = 'The SDK looks for it from the working directory: npm install hookline';
    return { what, state: 'problem', found: 'hookline is not installed here', fix };
  }
  if (chosen) return { what, state: 'good', found: `hookline, by ${chosen.by}` };
  if (hasWorker) return { what, state: 'good', found: 'hookline, as a living worker shows' };
  if (installed('eve')) {
    const found = 'no file agent/agent.ts of this folder names hookline';
    return { what, state: 'warning', found, fix: NAME_IN_AGENT };
  }
  const found = `${VARIABLE} is set neither here nor in a file of variables of this folder`;
  return { what, state: 'warning', found, fix: SET };
}

const SET = `Set ${VARIABLE}=hookline where the app runs; --env-file reads a file of variables.`;
const NAME_IN_AGENT =
  "Name it in the root agent: experimental: { workflow: { world: 'hookline' } }";

/** The folder's own word: a file of variables, withHookline() in Next.js, an agent, a script. */
function chosenByFile(): { name: string; by: string } | undefined {
  const files = readdirSync('.');
  for (const by of files.filter(
    (name) => /^\.env(\.|$)/.test(name) && !/example|sample/.test(name),
  )) {
    const name = parseEnv(text(by))[VARIABLE];
    if (name) return { name, by };
  }
  const config = files.find((name) => /^next\.config\.[cm]?[jt]s$/.test(name));
  if (config && /\bwithHookline\b/.test(text(config))) {
    return { name: 'hookline', by: `withHookline() in ${config}` };
  }
  const agent = ['ts', 'js', 'mts', 'mjs'].map((extension) => `agent/agent.${extension}`);
  const naming = agent.find((name) => /\bworld:\s*["']hookline["']/.test(text(name)));
  if (naming) return { name: 'hookline', by: naming };
  const other = files.filter((name) =>
    /^(package\.json|Dockerfile|compose\.ya?ml|docker-compose\.ya?ml)$/.test(name),
  );
  const by = other.find((name) =>
    new RegExp(`${VARIABLE}["']?[=:]\\s*["']?hookline\\b`).test(text(name)),
  );
  return by ? { name: 'hookline', by } : undefined;
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // A folder, or another user's file.
    return '';
  }
}
