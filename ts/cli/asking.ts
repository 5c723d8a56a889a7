/** Asks the person at the terminal. */
import { createInterface } from 'node:readline/promises';
import { CommandError, EXIT } from './context';
import type { Printer } from './print';

/** Whether the person says yes; fails where nobody can be asked, with this advice. */
export async function isWanted(print: Printer, question: string, advice: string): Promise<boolean> {
  if (print.json || !process.stdin.isTTY || !process.stdout.isTTY) {
    throw new CommandError(`Nobody can be asked here. ${advice}`, EXIT.usage);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(`\n${question} (y/N) `);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
