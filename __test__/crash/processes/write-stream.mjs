// Writes chunks to streams without end, until it is killed.
//
//   node write-stream.mjs '{"life":n,"streams":[...],"ahead":n,"diesAtAck":n?}'
//
// For each stream it keeps `ahead` writes under way, some of one chunk and some of three, and
// prints `ack <stream> <life>.<n>` for each chunk, synchronously, when its write has been
// acknowledged. With `diesAtAck` it kills itself as soon as it has printed the acknowledgements of
// this many writes.

import { writeSync } from 'node:fs';
import { createWorld } from 'hookline';

const { life, streams, ahead, diesAtAck } = JSON.parse(process.argv[2]);
const world = createWorld();
let acknowledged = 0;

await Promise.all(streams.map(writeForEver));

async function writeForEver(stream) {
  const underWay = [];
  for (let n = 0; ; ) {
    const chunks = Array.from({ length: n % 5 === 0 ? 3 : 1 }, () => `${life}.${n++}`);
    const write =
      chunks.length === 1
        ? world.writeToStream(stream, 'wrun_stream', chunks[0])
        : world.writeToStreamMulti(stream, 'wrun_stream', chunks);
    const acknowledge = () => {
      writeSync(1, chunks.map((chunk) => `ack ${stream} ${chunk}\n`).join(''));
      acknowledged += 1;
      if (acknowledged === diesAtAck) process.kill(process.pid, 'SIGKILL');
    };
    underWay.push(write.then(acknowledge));
    if (underWay.length >= ahead) await underWay.shift();
  }
}
