// Resumes hooks without end, until it is killed.
//
//   node resume-stream.mjs '{"marks":[...],"life":n,"tokens":[...],"lanes":n,"works":bool,"diesAt":n?,"diesAtAck":n?}'
//
// It prints, synchronously, so that the line is out before anything else can happen:
//   ack <index of the token> <id>     the resume with this id has been acknowledged
//   seen <runId> <n>                  a delivery has seen n payloads in the log of its run
// With `works` it also delivers messages, to a handler that reads the log as a replay does. With
// `diesAt` it kills itself while its resume of that number is under way, with `diesAtAck` as soon
// as it has printed this many acknowledgements. Everything that it has printed must be on disk.

import { writeSync } from 'node:fs';
import { createWorld, resumeHook } from 'hookline';

const { marks, life, tokens, lanes, works, diesAt, diesAtAck } = JSON.parse(process.argv[2]);
const print = (line) => writeSync(1, `${line}\n`);
for (const mark of marks) globalThis[Symbol.for(mark)] = true;
let begun = 0;
let acknowledged = 0;

if (works) await work();
await Promise.all(Array.from({ length: lanes }, (_, lane) => resumeForEver(lane)));

async function resumeForEver(lane) {
  for (let n = 0; ; n += 1) {
    begun += 1;
    // Half of the resumes go to the first hook, which is iterated.
    const index = n % 2 === 0 ? 0 : (begun + lane) % tokens.length;
    const id = `${life}.${lane}.${n}`;
    const resumed = resumeHook(tokens[index], { id });
    if (begun === diesAt) dieSoon();
    await resumed;
    print(`ack ${index} ${id}`);
    acknowledged += 1;
    if (acknowledged === diesAtAck) die();
  }
}

function die() {
  process.kill(process.pid, 'SIGKILL');
}

/** At once, or a few turns of the event loop later: around the commit. */
function dieSoon() {
  [die, () => queueMicrotask(die), () => setImmediate(die), () => setTimeout(die, 2)][life % 4]();
}

async function work() {
  const world = createWorld();
  const logs = new Map();
  world.createQueueHandler('__wkf_workflow_', async ({ runId }) => {
    const log = logs.get(runId) ?? { cursor: undefined, received: 0 };
    logs.set(runId, log);
    for (let more = true; more; ) {
      const pagination = { limit: 1000, cursor: log.cursor };
      const page = await world.events.list({ runId, pagination, resolveData: 'none' });
      log.received += page.data.filter((event) => event.eventType === 'hook_received').length;
      log.cursor = page.cursor ?? log.cursor;
      more = page.hasMore;
    }
    print(`seen ${runId} ${log.received}`);
  });
  await world.start();
}
