/** `hookline import --from <source>`. */
import { importWorld } from '../import/importer';
import { openSource } from '../import/source';
import { type Context, EXIT } from './context';
import { bold, counted } from './print';
import { type ProgressBar, progressBar } from './progress';

/** Imports the runs of another World; exit code 4 when one is missing or differs. */
export async function importRuns(
  { print, location, world }: Context,
  from: string,
): Promise<number> {
  const source = await openSource(from);
  try {
    // The one command that may make the database.
    const target = world('producer', { create: true });
    const report = await importWorld(
      source.world,
      target,
      counting(progressBar(!print.json, 'runs')),
    );
    const { total, imported, already, failed } = report.runs;
    print.answer({ from: source.name, to: location, ...report }, () => {
      print.line(`${bold('From')} ${source.name} ${bold('to')} ${location}`);
      print.line(
        `${counted(total, 'run')}: ${imported} imported, ${already} here already, ${failed} failed.`,
      );
      print.line(
        `${counted(report.events, 'event')}, ${counted(report.streams, 'stream')} with ${counted(report.chunks, 'chunk')}.`,
      );
      for (const { runId, reason } of report.failures) print.line(`  ${runId}: ${reason}`);
      print.line(failed === 0 ? 'The digest of every log equals the digest of its source.' : '');
    });
    return failed === 0 ? EXIT.done : EXIT.problems;
  } finally {
    await source.world.close?.();
  }
}

/** Counts the imported runs. */
function counting(bar: ProgressBar) {
  let [done, total] = [0, 0];
  return {
    begin(count: number) {
      total = count;
      bar.at(0, total);
    },
    advance() {
      done += 1;
      bar.at(done, total);
      if (done === total) bar.end();
    },
  };
}
