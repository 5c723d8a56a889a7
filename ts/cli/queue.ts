/** `hookline stats`, `hookline dead`, `hookline held` and `hookline redrive`. */
import type { StoppedMessage, World } from '../../index';
import { duration } from '../engine/duration';
import { CommandError, type Context, EXIT } from './context';
import { firstLine, upTo } from './lists';
import { ago, bad, bold, good, printable, type Row, size } from './print';

/** The most messages that one `redrive --all` or `--held` reads. */
const REDRIVEN_MAX = 100_000;

/** Prints the state of the queue. */
export async function stats({ world, print }: Context): Promise<undefined> {
  const found = await world('reader').stats();
  print.answer(found, () => {
    const { due, sleeping, leased, dead, held } = found.messages;
    print.line(`${bold('Messages')} ${due} due, ${leased} being delivered, ${sleeping} asleep`);
    print.line(dead > 0 ? bad(`${dead} given up: hookline dead`) : good('none given up'));
    if (held > 0) print.line(bad(`${held} held for a release with other code: hookline held`));
    const oldest = found.oldestDueMessageMs;
    if (oldest !== null) print.line(`The oldest has been due for ${duration(oldest)}.`);
    const { stalled } = found;
    if (stalled && stalled.cause !== 'held') print.line(bad(printable(stalled.message)));
    const { bytes, readBy } = found.log;
    const readers = readBy.length > 0 ? `, read by processes ${readBy.join(', ')}` : '';
    // Only a file has one.
    if (bytes > 0) print.line(`${bold('Log')} ${size(bytes)}${readers}`);
    const { pending, running } = found.runs;
    print.line(`${bold('Runs')} ${running} running, ${pending} not started yet`);
  });
}

/** Prints the messages that were given up. */
export async function dead(
  { world, print }: Context,
  { limit }: { limit: number },
): Promise<undefined> {
  const read = world('reader');
  const found = await upTo(limit, (page) => read.deadMessages(page));
  print.answer(found, () => {
    const rows = found.map((it) => row(it, { 'given up': ago(it.deadAt) }));
    print.table(rows, 'No message was given up.');
  });
}

/** Prints the held messages. */
export async function held(
  { world, print }: Context,
  { limit }: { limit: number },
): Promise<undefined> {
  const read = world('reader');
  const found = await upTo(limit, (page) => read.heldMessages(page));
  print.answer(found, () => {
    const rows = found.map((it) => row(it, { held: ago(it.heldAt) }));
    print.table(rows, 'No message is held.');
  });
}

function row(message: StoppedMessage, since: Row): Row {
  return {
    message: message.messageId,
    run: message.runId ?? '',
    queue: message.queueName,
    attempts: String(message.attempt),
    ...since,
    error: firstLine(message.error),
  };
}

/** Puts messages that were given up or are held back into the queue. */
export async function redrive(
  { world, print }: Context,
  { messageIds, all, held }: { messageIds: string[]; all?: boolean; held?: boolean },
): Promise<undefined> {
  const named = [messageIds.length > 0, all, held].filter(Boolean);
  if (named.length !== 1) {
    throw new CommandError(
      'Name the messages (hookline dead and hookline held list them), or say --all or --held.',
      EXIT.usage,
    );
  }
  const producer = world('producer');
  const ids = messageIds.length > 0 ? messageIds : await stoppedIds(producer, held === true);
  const redriven: { messageId: string }[] = [];
  const missing: string[] = [];
  for (const id of ids) {
    try {
      redriven.push(await producer.redrive(id));
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'NOT_FOUND' && code !== 'INVALID') throw error;
      missing.push(id);
    }
  }
  print.answer(redriven, () => print.line(`${redriven.length} put back into the queue.`));
  // With `--all` or `--held`, a message may have been deleted since it was listed, because its run has ended.
  if (messageIds.length > 0 && missing.length > 0) {
    const what = 'Not among the messages given up or held';
    throw new CommandError(`${what}: ${missing.join(', ')}`, EXIT.notFound);
  }
}

async function stoppedIds(world: World, held: boolean): Promise<string[]> {
  const found = await upTo<StoppedMessage>(REDRIVEN_MAX, (page) =>
    held ? world.heldMessages(page) : world.deadMessages(page),
  );
  return found.map(({ messageId }) => messageId);
}
