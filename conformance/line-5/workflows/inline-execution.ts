import { getWritable, sleep } from 'workflow';

/** Adds ten in four steps, one after the other. */
export async function sequentialStepsWorkflow(input: number) {
  'use workflow';

  let sum = input;
  for (const term of [1, 2, 3, 4]) sum = await add(sum, term);
  return sum;
}

/** Writes two words to the run's stream, in two steps. */
export async function sequentialStepsWithStreamWorkflow() {
  'use workflow';

  const stream = getWritable<Uint8Array>();
  const first = await write(stream, 'hello ');
  const second = await write(stream, 'world');
  await close(stream);
  return first + second;
}

export async function sleepWorkflow() {
  'use workflow';

  await sleep('1s');
  return await add(1, 2);
}

export async function parallelStepsWorkflow() {
  'use workflow';

  const [few, many] = await Promise.all([add(10, 1), add(20, 2)]);
  return few + many;
}

async function add(left: number, right: number) {
  'use step';

  return left + right;
}

async function write(stream: WritableStream<Uint8Array>, text: string) {
  'use step';

  const writer = stream.getWriter();
  await writer.write(new TextEncoder().encode(text));
  writer.releaseLock();
  return text;
}

async function close(stream: WritableStream<Uint8Array>) {
  'use step';

  await stream.close();
}
