/** `hookline migrate`: makes the schema of a Postgres database, or brings it up to date, without an app. */
import { readConfig } from '../engine/config';
import { loadBinding, settled } from '../native/binding';
import type { Context, GlobalOptions } from './context';

interface Migrated {
  script: string;
  before: number;
  after: number;
  schema: string;
}

/** Migrates, or prints the statements with which a person can. */
export async function migrate(
  { print }: Context,
  { url }: GlobalOptions,
  { dryRun = false, grant }: { dryRun?: boolean; grant?: string },
): Promise<undefined> {
  const { NativeWorld } = loadBinding();
  const native = new NativeWorld(JSON.stringify(readConfig({ url })));
  const request = JSON.stringify({ onlyShows: dryRun, grantTo: grant });
  const { json: done } = await settled<Migrated>(native.migrate(request));
  print.answer(done, () => {
    if (dryRun) return print.line(done.script ? `BEGIN;\n${done.script}COMMIT;` : '');
    const { schema, before, after } = done;
    const is = before === after ? 'was' : 'is now';
    print.line(`The schema "${schema}" ${is} at version ${after}.`);
    if (grant !== undefined) print.line(`The role "${grant}" may use it.`);
  });
}
