import { cleanUp, newDatabase, newWorld, readAll } from './support';

afterEach(cleanUp);

const RUN = 'wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV';

test('chunks are read in the order in which they were written, text as UTF-8', async () => {
  const world = newWorld();
  await world.writeToStream('s', RUN, 'ä');
  await world.writeToStreamMulti('s', RUN, [new TextEncoder().encode('b'), 'c']);
  await world.closeStream('s', RUN);
  expect(await readAll(await world.readFromStream('s'))).toEqual(['ä', 'b', 'c']);
  expect(await world.listStreamsByRunId(RUN)).toEqual(['s']);
  expect(await world.getStreamInfo('s', RUN)).toEqual({ tailIndex: 2, done: true });
});

test('calls for one stream keep their order, though a run id is a promise that comes late', async () => {
  const world = newWorld();
  let arrive: (id: string) => void = () => undefined;
  const late = new Promise<string>((resolve) => {
    arrive = resolve;
  });
  const calls = [
    world.writeToStream('s', late, '1'),
    world.writeToStream('s', RUN, '2'),
    world.writeToStreamMulti('s', Promise.resolve(RUN), ['3', '4']),
    world.writeToStream('s', RUN, '5'),
    world.closeStream('s', RUN),
  ];
  await world.writeToStream('another', RUN, 'not held up');
  arrive(RUN);
  await Promise.all(calls);
  expect(await readAll(await world.readFromStream('s'))).toEqual(['1', '2', '3', '4', '5']);
});

test('a run id that never comes fails its own call, and not the next', async () => {
  const world = newWorld();
  const failing = world.writeToStream('s', Promise.reject(new Error('no run')), 'lost');
  const next = world.writeToStream('s', RUN, 'kept');
  await expect(failing).rejects.toThrow('no run');
  await next;
  expect((await world.getStreamChunks('s', RUN)).data).toHaveLength(1);
});

test('a buffer may be reused as soon as the call returns', async () => {
  const world = newWorld();
  const chunk = new Uint8Array([1]);
  const written = world.writeToStream('s', Promise.resolve(RUN), chunk);
  chunk[0] = 9;
  await written;
  expect((await world.getStreamChunks('s', RUN)).data).toEqual([
    { index: 0, data: new Uint8Array([1]) },
  ]);
});

test('a start index counts from the front, or from the end when it is negative', async () => {
  const world = newWorld();
  await world.writeToStreamMulti('s', RUN, ['a', 'b', 'c', 'd']);
  await world.closeStream('s', RUN);
  const from = async (index: number) =>
    (await readAll(await world.readFromStream('s', index))).join('');
  expect(
    await Promise.all([from(0), from(2), from(-1), from(-3), from(-9), from(4), from(9)]),
  ).toEqual(['abcd', 'cd', 'd', 'bcd', 'abcd', '', '']);
});

test('a reader gets chunks as they are written, from another World too, until the stream closes', async () => {
  const url = newDatabase();
  const [writer, reader] = [newWorld({ url }), newWorld({ url })];
  const chunks = (await reader.readFromStream('s')).getReader();
  const first = chunks.read();
  await writer.writeToStream('s', RUN, 'one');
  expect((await first).value).toEqual(new TextEncoder().encode('one'));
  const second = chunks.read();
  await writer.writeToStream('s', RUN, 'two');
  expect((await second).value).toEqual(new TextEncoder().encode('two'));
  const end = chunks.read();
  await writer.closeStream('s', RUN);
  expect((await end).done).toBe(true);
});

test('a reader that cancels is let go, waiting or not', async () => {
  const world = newWorld();
  const waiting = (await world.readFromStream('s')).getReader();
  const read = waiting.read();
  await new Promise((resolve) => setImmediate(resolve));
  await waiting.cancel();
  expect((await read).done).toBe(true);
  await (await world.readFromStream('s')).cancel();
  await world.writeToStream('s', RUN, 'after');
  expect((await world.getStreamInfo('s', RUN)).tailIndex).toBe(0);
});

test('an empty chunk has an index, and a reader is not given it', async () => {
  const world = newWorld();
  await world.writeToStreamMulti('s', RUN, ['a', '', new Uint8Array(0), 'b']);
  await world.closeStream('s', RUN);
  expect(await readAll(await world.readFromStream('s'))).toEqual(['a', 'b']);
  expect((await world.getStreamInfo('s', RUN)).tailIndex).toBe(3);
});

test('chunks are given in pages, and a page says whether the stream is complete', async () => {
  const world = newWorld();
  await world.writeToStreamMulti('s', RUN, ['a', 'b', 'c']);
  const first = await world.getStreamChunks('s', RUN, { limit: 2 });
  expect(first.data.map(({ index }) => index)).toEqual([0, 1]);
  expect(first).toMatchObject({ hasMore: true, done: false });
  await world.closeStream('s', RUN);
  const second = await world.getStreamChunks('s', RUN, {
    limit: 2,
    cursor: first.cursor as string,
  });
  expect(second).toMatchObject({ hasMore: false, done: true });
  expect(second.data).toEqual([{ index: 2, data: new TextEncoder().encode('c') }]);
  expect(Buffer.isBuffer(second.data[0]?.data)).toBe(false);
});

test('a stream that nobody has written to is empty and open', async () => {
  const world = newWorld();
  expect(await world.getStreamInfo('none', RUN)).toEqual({ tailIndex: -1, done: false });
  expect(await world.getStreamChunks('none', RUN)).toMatchObject({ data: [], done: false });
  expect(await world.listStreamsByRunId(RUN)).toEqual([]);
});

test('more chunks than one read takes arrive complete', async () => {
  const world = newWorld();
  const texts = Array.from({ length: 500 }, (_, index) => `chunk ${index}`);
  await world.writeToStreamMulti('s', RUN, texts);
  await world.closeStream('s', RUN);
  expect(await readAll(await world.readFromStream('s'))).toEqual(texts);
});

test('what is no chunk, and no stream name, is refused', async () => {
  const world = newWorld();
  const bad = { name: 'WorkflowWorldError', status: 400 };
  await expect(world.writeToStream('s', RUN, 5 as never)).rejects.toMatchObject(bad);
  await expect(world.writeToStream('', RUN, 'x')).rejects.toMatchObject(bad);
  await expect(world.writeToStream('s', undefined as never, 'x')).rejects.toMatchObject(bad);
  await expect(world.readFromStream('s', 1.5)).rejects.toMatchObject(bad);
});

test('the SDK is told not to gather chunks by time, unless configured', () => {
  expect(newWorld().streamFlushIntervalMs).toBe(0);
  expect(newWorld({ streamFlushIntervalMs: 25 }).streamFlushIntervalMs).toBe(25);
});
