/** `hookline dead` and `hookline redrive <message>`. */
import type { Context } from './context';
import { firstLine, upTo } from './lists';
import { ago, type Row } from './print';

/** Prints the messages that were given up. */
export async function dead(
  { world, print }: Context,
  { limit }: { limit: number },
): Promise<undefined> {
  const found = await upTo(limit, (page) => world('reader').deadMessages(page));
  print.answer(found, () => {
    const rows: Row[] = found.map((message) => ({
      message: message.messageId,
      queue: message.queueName,
      run: message.runId ?? '',
      attempts: String(message.attempt),
      'given up': ago(message.deadAt),
      error: firstLine(message.error),
    }));
    print.table(rows, 'No message was given up.');
  });
}

/** Puts a message that was given up back into the queue. */
export async function redrive({ world, print }: Context, message: string): Promise<undefined> {
  const { messageId } = await world('producer').redrive(message);
  print.answer({ messageId }, () => print.line(`${messageId} is due now.`));
}
