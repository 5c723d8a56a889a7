// A producer: resumes one iterated hook with { n: 0 }, { n: 1 } ... and now and then a hook of its
// own with a decision, until its standard input ends.
//
//   node produce.mjs '{"inbox":token,"approvals":[token, ...]}'
//
// It prints `ack <n>` and `ack <token>` when a resume has been acknowledged, and `end` at the end.

import { writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { resumeHook } from 'hookline';

const { inbox, approvals } = JSON.parse(process.argv[2]);
const print = (line) => writeSync(1, `${line}\n`);
const LANES = 3;
let ended = false;
let next = 0;
process.stdin.resume().on('end', () => {
  ended = true;
});

await Promise.all([approve(), ...Array.from({ length: LANES }, resumeInbox)]);
print('end');

async function resumeInbox() {
  while (!ended) {
    const n = next++;
    await resumeHook(inbox, { n });
    print(`ack ${n}`);
    await pause(15);
  }
}

async function approve() {
  for (const token of approvals) {
    await resumeHook(token, { approved: true, by: 'Ada' });
    print(`ack ${token}`);
    if (!ended) await pause(200);
  }
}
