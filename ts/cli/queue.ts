/** `hookline stats`, `hookline dead` and `hookline redrive`. */
import type { World } from '../../index';
import { duration } from '../engine/duration';
import { CommandError, type Context, EXIT } from './context';
import { firstLine, upTo } from './lists';
import { ago, bad, bold, good, type Row, size } from './print';

/** The most dead messages that one `redrive --all` reads. */
const REDRIVEN_MAX = 100_000;

/** Prints the state of the queue. */
export async function stats({ world, print }: Context): Promise<undefined> {
  const found = await world('reader').stats();
  print.answer(found, () => {
    const { due, sleeping, leased, dead } = found.messages;
    print.line(`${bold('Messages')} ${due} due, ${leased} being delivered, ${sleeping} asleep`);
    print.line(dead > 0 ? bad(`${dead} given up: hookline dead`) : good('none given up'));
    const oldest = found.oldestDueMessageMs;
    if (oldest !== null) print.line(`The oldest has been due for ${duration(oldest)}.`);
    const { bytes, readBy } = found.log;
    const readers = readBy.length > 0 ? `, read by processes ${readBy.join(', ')}` : '';
    print.line(`${bold('Log')} ${size(bytes)}${readers}`);
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
    const rows: Row[] = found.map((message) => ({
      message: message.messageId,
      run: message.runId ?? '',
      queue: message.queueName,
      attempts: String(message.attempt),
      'given up': ago(message.deadAt),
      error: firstLine(message.error),
    }));
    print.table(rows, 'No message was given up.');
  });
}

/** Puts messages that were given up back into the queue. */
export async function redrive(
  { world, print }: Context,
  { messageIds, all }: { messageIds: string[]; all?: boolean },
): Promise<undefined> {
  if ((all === true) === messageIds.length > 0) {
    throw new CommandError(
      'Name the messages (hookline dead lists them), or say --all.',
      EXIT.usage,
    );
  }
  const producer = world('producer');
  const ids = all ? await deadIds(producer) : messageIds;
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
  // With `--all`, a message may have been deleted since it was listed, because its run has ended.
  if (!all && missing.length > 0) {
    throw new CommandError(`Not among the messages given up: ${missing.join(', ')}`, EXIT.notFound);
  }
}

async function deadIds(world: World): Promise<string[]> {
  const found = await upTo(REDRIVEN_MAX, (page) => world.deadMessages(page));
  return found.map(({ messageId }) => messageId);
}
