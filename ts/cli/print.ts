/** Tables for people, JSON for scripts. */
import { styleText } from 'node:util';
import { Table } from 'console-table-printer';
import { duration } from '../engine/duration';

/** A row of a table: texts by column. */
export type Row = Record<string, string>;

/** Prints a command's answer. */
export interface Printer {
  /** Whether the output is JSON, for a script. */
  json: boolean;
  /** The answer: `value` as JSON, or what `show` prints. */
  answer(value: unknown, show: () => void): void;
  table(rows: Row[], whenEmpty: string): void;
  line(text?: string): void;
  /** A note on standard error; scripts do not get it. */
  note(text: string): void;
  error(error: unknown): void;
}

/** So many of something: `1 run`, `2 runs`. */
export function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/** Makes a printer; with `json` it prints only the answer. */
export function createPrinter(json: boolean): Printer {
  const line = (text = '') => void process.stdout.write(`${text}\n`);
  return {
    json,
    line,
    answer(value, show) {
      if (json) line(JSON.stringify(value, null, 2));
      else show();
    },
    table(rows, whenEmpty) {
      if (rows.length === 0) return line(whenEmpty);
      const columns = Object.keys(rows[0] ?? {});
      const table = new Table({
        columns: columns.map((name) => ({ name, alignment: 'left' as const })),
        colorMap: {},
        shouldDisableColors: true,
      });
      for (const row of rows) {
        const cells = Object.entries(row).map(([name, text]) => [name, printable(text)]);
        table.addRow(Object.fromEntries(cells));
      }
      line(table.render());
    },
    note(text) {
      if (!json) process.stderr.write(`${text}\n`);
    },
    error(error) {
      const { name, code, message } = error as { name?: string; code?: string; message?: string };
      const said = message ?? String(error);
      if (json) {
        process.stderr.write(`${JSON.stringify({ error: { name, code, message: said } })}\n`);
      } else {
        process.stderr.write(`${bad('error')} ${printable(said)}\n`);
      }
    },
  };
}

const style = (format: Parameters<typeof styleText>[0]) => (text: string) =>
  process.stdout.isTTY && !process.env.NO_COLOR ? styleText(format, text) : text;

export const bold = style('bold');
export const good = style('green');
export const bad = style('red');
export const dim = style('dim');
export const warn = style('yellow');

/** A point in time, and its distance from now: `2026-11-24T10:00:00.000Z (3 h ago)`. */
export function when(at: Date, now = Date.now()): string {
  const away = at.getTime() - now;
  return `${at.toISOString()} (${away > 0 ? `in ${duration(away)}` : `${duration(-away)} ago`})`;
}

/** The time since a point in time, for a column. */
export function ago(at: Date | undefined): string {
  return at ? `${duration(Date.now() - at.getTime())} ago` : '';
}

/** Bytes in their largest unit. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/**
 * A text of the database without control characters: names and errors come from other people, and
 * must not control the reader's terminal.
 */
export function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, '\ufffd');
}

/** Masks a token, which is a secret; the rest is enough to distinguish tokens. */
export function masked(token: string): string {
  return token.length <= 8 ? '********' : `${token.slice(0, 4)}…${token.slice(-2)}`;
}
