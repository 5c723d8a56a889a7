#!/usr/bin/env node
/** `npx hookline`: commands for operators. The guide is `docs/operations.md`. */
import { Command, type CommanderError, InvalidArgumentError, Option } from 'commander';
import type { RunStatus } from '../../index';
import { version } from '../../package.json';
import { backup } from './backup';
import { CommandError, type Context, EXIT, type GlobalOptions, runCommand } from './context';
import { doctor } from './doctor';
import { cancel, fail } from './end-run';
import { explain } from './explain';
import { importRuns } from './import';
import { init } from './init';
import { keygen } from './keygen';
import { hooks, runs } from './lists';
import { migrate } from './migrate';
import { move } from './move';
import { createPrinter } from './print';
import { dead, held, redrive, stats } from './queue';
import { adopt, cancelRelease, gone, releases } from './releases';
import { resume } from './resume';

const STATUSES: RunStatus[] = ['pending', 'running', 'completed', 'failed', 'cancelled'];

const program = new Command('hookline')
  .description('Inspect, repair and move the workflows of a Hookline database.')
  // No short name: a token may begin with it.
  .version(version, '--version')
  .option(
    '--url <url>',
    'the database; default WORKFLOW_HOOKLINE_URL, or the database of this folder',
  )
  .option('--env-file <file>', 'a file of variables, such as .env')
  .option('--json', 'print JSON for scripts')
  .addHelpText(
    'after',
    `
Exit codes:
  0  done
  1  failed; standard error says why
  2  wrong usage
  3  no such run, hook, message, database, app or source of an import
  4  doctor found problems, an import is not equal to its source, or init left something to do by hand`,
  )
  // `leave` prints the error, also as JSON.
  .configureOutput({ outputError: () => undefined })
  .exitOverride((error) => leave(error));

/** Ends the process after a request for help, or after wrong usage. */
function leave({ code, exitCode, message }: CommanderError): never {
  const isWrong = exitCode !== 0 && code !== 'commander.help';
  // The parse has failed, so the parser does not know this option.
  const json = process.argv.includes('--json');
  const said = message.replace(/^error: /, '');
  if (isWrong) createPrinter(json).error(new CommandError(said, EXIT.usage));
  process.exit(exitCode === 0 ? EXIT.done : EXIT.usage);
}

/** Runs a command with the options before or after its name. */
function running(
  command: (context: Context, options: GlobalOptions) => Promise<number | undefined>,
) {
  const options = program.opts<GlobalOptions>();
  return runCommand(options, (context) => command(context, options));
}

const limit = () =>
  new Option('-n, --limit <n>', 'how many to show at most').default(50).argParser((text) => {
    const number = Number(text);
    if (Number.isSafeInteger(number) && number > 0) return number;
    throw new InvalidArgumentError('It must be a whole number, 1 or more.');
  });
const showTokens = () => new Option('--tokens', 'show tokens in full; they are secrets');

program
  .command('init')
  .description('set up the app in this folder: shows what it would change, and asks')
  .option('--yes', 'do not ask')
  .option('--dry-run', 'only show')
  .addHelpText(
    'after',
    `
It knows Next.js, Nitro, Nuxt, Vite, SvelteKit, Astro, NestJS, React Router, TanStack Start, Hono,
Express, Fastify and plain Node.js. It adds the Workflow SDK where it is missing, changes nothing
twice, and leaves a file alone that it cannot edit safely: then it prints what to write there, and
the exit code is 4.`,
  )
  .action((options) => running((context) => init(context, options)));

program
  .command('doctor')
  .description('check versions, the database, its permissions, the SDK and the app')
  .action(() => running(doctor));

program
  .command('runs')
  .description('the newest runs')
  .addOption(new Option('--status <status>', 'only runs in this status').choices(STATUSES))
  .option(
    '--workflow <name>',
    'only runs of this workflow: the name of its function, or its stored name',
  )
  .addOption(limit())
  .action((options) => running((context) => runs(context, options)));

program
  .command('hooks')
  .description('live hooks')
  .option('--run <run>', 'only hooks of this run')
  .addOption(showTokens())
  .addOption(limit())
  .action((options) => running((context) => hooks(context, options)));

program
  .command('explain <run>')
  .description('what a run waits for, since when, what wakes it next, and its last error')
  .addOption(showTokens())
  .action((runId, options) => running((context) => explain(context, { runId, ...options })));

program
  .command('resume <token> <json>')
  .description('send a payload to a hook: JSON, or - to read it from standard input')
  .addHelpText('after', '\nFor a token that begins with a dash: hookline resume -- <token> <json>')
  // The parser's own message quotes the supposed option, which may be a token and so a secret.
  .exitOverride((error) => {
    if (error.code === 'commander.unknownOption') {
      error.message =
        'no such option; for a token that begins with a dash: hookline resume -- <token> <json>';
    }
    leave(error);
  })
  .action((token, json) => running((context) => resume(context, { token, json })));

program
  .command('backup <file>')
  .description('copy the database into a new file, also while the app runs')
  .action((file) => running((context) => backup(context, file)));

program
  .command('stats')
  .description('how much there is to deliver, and since when')
  .action(() => running(stats));

program
  .command('dead')
  .description('messages that were given up after many failed deliveries')
  .addOption(limit())
  .action((options) => running((context) => dead(context, options)));

program
  .command('held')
  .description(
    'messages that wait for a worker with other code, after a release that changed a workflow',
  )
  .addOption(limit())
  .action((options) => running((context) => held(context, options)));

program
  .command('redrive [message...]')
  .description('put messages that were given up or are held back into the queue')
  .option('--all', 'all that were given up')
  .option('--held', 'all that are held')
  .action((messageIds, options) =>
    running((context) => redrive(context, { messageIds, ...options })),
  );

program
  .command('releases')
  .description('each release: its processes, its running and parked runs, and what still needs it')
  .action(() => running(releases));

program
  .command('adopt')
  .description('give the runs of a release to another one whose code fits them')
  .requiredOption('--from <release>', 'the release that has the runs')
  .requiredOption('--to <release>', 'the release that gets them')
  .option('--yes', 'do not ask')
  .action((options) => running((context) => adopt(context, options)));

program
  .command('gone <release>')
  .description('say that a release will never be back: whatever is sent to it is refused')
  .action((release) => running((context) => gone(context, { release })));

program
  .command('cancel [run]')
  .description('cancel a run, or all runs of a release that have not ended')
  .option('--release <release>', 'all runs of this release')
  .option('--yes', 'do not ask')
  .action((runId, { release, yes }) =>
    running((context) => {
      if ((runId === undefined) === (release === undefined)) {
        throw new CommandError('Name one run, or say --release.', EXIT.usage);
      }
      return release ? cancelRelease(context, { release, yes }) : cancel(context, { runId });
    }),
  );

program
  .command('fail <run>')
  .description('fail a run; who awaits its result gets an error with this message')
  .requiredOption('--message <text>', 'the message of the error')
  .action((runId, { message }) => running((context) => fail(context, { runId, message })));

program
  .command('keygen')
  .description('a new master key for WORKFLOW_HOOKLINE_ENCRYPTION_KEYS')
  .option('--id <id>', 'its name in the ring')
  .action(({ id }) => running((context) => keygen(context, id)));

program
  .command('migrate')
  .description('make the schema of a Postgres database, or bring it up to date, without an app')
  .option('--dry-run', 'only print the statements')
  .option('--grant <role>', 'give this role what an app needs, and no more')
  .action((options) => running((context, global) => migrate(context, global, options)));

program
  .command('import')
  .description(
    'import the runs of another World; a repeated import continues where the last one stopped',
  )
  .requiredOption(
    '--from <source>',
    "a world-local folder, or the URL of world-postgres's database",
  )
  .action(({ from }) => running((context) => importRuns(context, from)));

program
  .command('move')
  .description('move the database to another place; its workers must have stopped')
  .requiredOption('--to <url>', 'a postgres:// URL whose schema is new, or a file that is new')
  .addHelpText(
    'after',
    `
Every row goes along as it is, and both sides are compared by digests before the old place is marked:
whoever opens it afterwards is told the new one. A move that was interrupted is repeated.`,
  )
  .action(({ to }) => running((context, options) => move(context, options, to)));

void program.parseAsync();
