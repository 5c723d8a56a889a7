/** A process that writes streams is killed again and again on one database. */

import { cleanUp, newDatabase, newWorld, readAll } from '../support';
import {
  BUILD_LIMIT_MS,
  buildInspector,
  inspect,
  killAt,
  pause,
  repeated,
  until,
  withSeed,
} from './harness';

const KILLS = 15;
const STREAMS = ['one', 'two', 'three'];

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);

test(
  'kill -9 loses no acknowledged chunk of a stream, repeats none and keeps their order',
  withSeed(async (random) => {
    const database = newDatabase();
    const acknowledged = new Map(STREAMS.map((stream) => [stream, [] as string[]]));
    for (let life = 0; life < KILLS; life += 1) {
      const count = 1 + Math.floor(random() * 400);
      const itself = life % 2 === 0;
      const moment = { afterLines: itself ? Infinity : count, thenMs: random() * 5 };
      const ahead = 1 + Math.floor(random() * 20);
      const input = { life, streams: STREAMS, ahead, ...(itself && { diesAtAck: count }) };
      for (const line of await killAt(moment, 'write-stream', database, input)) {
        const [, stream, chunk] = line.split(' ') as [string, string, string];
        acknowledged.get(stream)?.push(chunk);
      }
      expect(inspect(database).integrity).toEqual(['ok']);
    }

    const world = newWorld({ url: database });
    for (const [stream, chunks] of acknowledged) {
      expect(chunks.length).toBeGreaterThan(KILLS);
      await world.closeStream(stream, 'wrun_stream');
      const stored = await readAll(await world.readFromStream(stream));
      const known = new Set(stored);
      expect(chunks.filter((chunk) => !known.has(chunk))).toEqual([]);
      expect(repeated(stored)).toEqual([]);
      // Nothing is missing before the last one of each process either.
      expect(stored).toEqual(withoutHoles(stored));
    }
  }),
  60_000,
);

test(
  'a reader of a stream in another process gets every acknowledged chunk while writers are killed',
  withSeed(async (random) => {
    const database = newDatabase();
    const reader = (await newWorld({ url: database }).readFromStream('one')).getReader();
    const read: string[] = [];
    const reading = (async () => {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        read.push(new TextDecoder().decode(value));
      }
    })();
    const acknowledged: string[] = [];
    for (let life = 0; life < 4; life += 1) {
      const moment = { afterLines: 1 + Math.floor(random() * 200), thenMs: random() * 5 };
      const input = { life, streams: ['one'], ahead: 8 };
      const lines = await killAt(moment, 'write-stream', database, input);
      acknowledged.push(...lines.map((line) => line.split(' ')[2] as string));
      await pause(20);
    }
    await until('the reader has read what was acknowledged', 10_000, () => {
      const known = new Set(read);
      return acknowledged.every((chunk) => known.has(chunk));
    });
    expect(read).toEqual(withoutHoles(read));
    await newWorld({ url: database }).closeStream('one', 'wrun_stream');
    await reading;
  }),
  60_000,
);

/** The chunks of processes that write 0, 1, 2 ... one after the other. */
function withoutHoles(stored: string[]): string[] {
  const lives = new Map<string, number>();
  for (const chunk of stored) {
    const [life] = chunk.split('.') as [string];
    lives.set(life, (lives.get(life) ?? 0) + 1);
  }
  return [...lives].flatMap(([life, count]) =>
    Array.from({ length: count }, (_, n) => `${life}.${n}`),
  );
}
