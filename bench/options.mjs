/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';

const USAGE = `Usage: npm run bench -- [options]

  --sizes 1000,100000   stored hooks and runs; the first and the last are compared
  --rounds 12           measured rounds, after two that warm up
  --singles 300         calls of a round with one in flight
  --turns 200           turns of a round, one call of each
  --many 1000           calls of a block with 128 in flight, five blocks in a round
  --looks 5000          look-ups of a block, five blocks in a round
  --folder PATH         where the databases are made (bench/.build)
  --name NAME           writes bench/results/NAME.json (latest, which is drawn for the guides too)
  --no-memory           leaves out the memory of parked hooks
  --profile             only splits where the time of one resumeHook goes
  --no-worlds           leaves out the SDK's own Worlds`;

const COUNTS = ['rounds', 'singles', 'turns', 'many', 'looks'];

const OPTIONS = {
  sizes: { type: 'string', default: '1000,100000' },
  rounds: { type: 'string', default: '12' },
  singles: { type: 'string', default: '300' },
  turns: { type: 'string', default: '200' },
  many: { type: 'string', default: '1000' },
  looks: { type: 'string', default: '5000' },
  folder: { type: 'string' },
  name: { type: 'string', default: 'latest' },
  memory: { type: 'boolean', default: true },
  profile: { type: 'boolean', default: false },
  worlds: { type: 'boolean', default: true },
  help: { type: 'boolean', default: false },
};

/** The options, numbers as numbers; `undefined` when only the usage was asked for. */
export function readOptions() {
  const { values } = parseArgs({ allowNegative: true, options: OPTIONS });
  if (values.help) {
    console.log(USAGE);
    return undefined;
  }
  const [rounds, singles, turns, many, looks] = COUNTS.map((name) => positive(name, values[name]));
  const sizes = values.sizes.split(',').map((size) => positive('sizes', size));
  return { ...values, sizes, rounds, singles, turns, many, looks };
}

function positive(name, text) {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`--${name} takes positive whole numbers, not ${text}`);
}
