/** The variables of this package, and a warning of those that are not among them. */
import { sayOnce } from './say-once';

const PREFIX = 'WORKFLOW_HOOKLINE_';

/** All variables of this package; the README says what each means. */
export const VARIABLES = [
  'WORKFLOW_HOOKLINE_BASE_URL',
  'WORKFLOW_HOOKLINE_CODE_MISMATCH',
  'WORKFLOW_HOOKLINE_CONCURRENCY',
  'WORKFLOW_HOOKLINE_DELIVERY',
  'WORKFLOW_HOOKLINE_DEPLOYMENT_ID',
  'WORKFLOW_HOOKLINE_DURABILITY',
  'WORKFLOW_HOOKLINE_ENCRYPTION_KEYS',
  'WORKFLOW_HOOKLINE_FILE_SYSTEM',
  'WORKFLOW_HOOKLINE_LISTEN_URL',
  'WORKFLOW_HOOKLINE_MIGRATE',
  'WORKFLOW_HOOKLINE_ROLE',
  'WORKFLOW_HOOKLINE_TOKENS',
  'WORKFLOW_HOOKLINE_TRACE_TOKENS',
  'WORKFLOW_HOOKLINE_URL',
] as const;

/** The name of a variable of this package. */
export type Variable = (typeof VARIABLES)[number];

/** Says of each variable that begins as ours do, and is not ours, which one may be meant. */
export function unknownVariables(): string[] {
  const set = Object.keys(process.env).filter((name) => name.startsWith(PREFIX));
  return set.filter((name) => !VARIABLES.includes(name as Variable)).map(unknown);
}

/** Warns of each such variable once. */
export function warnOfVariables(): void {
  for (const found of unknownVariables()) sayOnce('HOOKLINE_VARIABLE', found);
}

function unknown(name: string): string {
  const distances = VARIABLES.map((variable) => distance(name, variable));
  const least = Math.min(...distances);
  const nearest = VARIABLES[distances.indexOf(least)];
  // More than half of the letters are others.
  const isFar = least > (name.length - PREFIX.length) / 2;
  const advice = isFar ? `There are ${VARIABLES.join(', ')}.` : `Is it ${nearest}?`;
  return `${name} is set, but hookline has no such variable. ${advice}`;
}

/** The number of letters to add, drop or replace between two words (Levenshtein). */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const [row, letter] of [...a].entries()) {
    const own = [row + 1];
    for (const [column, other] of [...b].entries()) {
      const replaced = (above[column] ?? 0) + (letter === other ? 0 : 1);
      own.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (own[column] ?? 0) + 1));
    }
    above = own;
  }
  return above[b.length] ?? 0;
}
