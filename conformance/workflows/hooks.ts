import { createHook, getWritable } from 'workflow';

interface Payload {
  data: string;
  done?: boolean;
  metadata: unknown;
}

/** Reports each payload on the run's stream as it comes, and returns them all. */
export async function collectWithHook(token: string, customData: string) {
  'use workflow';

  const hook = createHook<Payload>({ token, metadata: { customData } });
  const stream = getWritable<Uint8Array>();
  const collected: Payload[] = [];
  await report(stream, { event: 'hookCreated' });
  for await (const payload of hook) {
    await report(stream, { event: 'hookResumed', payload });
    collected.push(payload);
    if (payload.done) break;
  }
  return { collected };
}

async function report(stream: WritableStream<Uint8Array>, line: object) {
  'use step';

  const writer = stream.getWriter();
  await writer.write(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
  writer.releaseLock();
}
