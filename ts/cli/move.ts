/** `hookline move --to <place>`. */
import { readConfig } from '../engine/config';
import { loadBinding, settled } from '../native/binding';
import { type Context, type GlobalOptions, refuseAbsent } from './context';
import { bold } from './print';
import { progressBar } from './progress';

/** A word of the addon about the move. */
type Word =
  | { done: number; total: number }
  | { from: string; to: string; tables: { table: string; rows: number; digest: string }[] };

/** Moves the database to another place. */
export async function move(
  { print }: Context,
  { url }: GlobalOptions,
  to: string,
): Promise<undefined> {
  refuseAbsent(url);
  // Whoever moves hears nobody.
  const source = { ...readConfig({ url }), role: 'producer', listenUrl: undefined };
  const { NativeMove } = loadBinding();
  const move = new NativeMove(JSON.stringify(source), JSON.stringify({ ...source, url: to }));
  const bar = progressBar(!print.json, 'rows');
  for (;;) {
    const { json: word } = await settled<Word>(move.next()).catch((error) => {
      bar.end();
      throw error;
    });
    if ('total' in word) {
      bar.at(word.done, word.total);
      continue;
    }
    bar.end();
    return print.answer(word, () => {
      print.line(`${bold('From')} ${word.from} ${bold('to')} ${word.to}`);
      const rows = word.tables.map(({ table, rows, digest }) => ({
        table,
        rows: String(rows),
        digest: digest.slice(0, 16),
      }));
      print.table(rows, 'The database has no tables.');
      print.line('Every table has the same digest in both places.');
      print.line(`Set WORKFLOW_HOOKLINE_URL to the new place; the old one refuses its users now.`);
    }) as undefined;
  }
}
