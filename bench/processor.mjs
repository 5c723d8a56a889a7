/** What processes cost, as Linux counts it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** A tick of the processor times in `/proc`. */
const TICK_MS = 10;

/** What the server's processes have cost so far; 0 where there is no `/proc`. */
export function processorMs(pid) {
  if (!existsSync('/proc')) return 0;
  let ticks = 0;
  for (const name of readdirSync('/proc')) {
    const fields = statOf(name);
    if (!fields || (name !== String(pid) && fields[1] !== String(pid))) continue;
    // Its own time in the program and in the kernel; of the parent also that of processes that ended.
    const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number);
    ticks += user + system + (name === String(pid) ? endedUser + endedSystem : 0);
  }
  return ticks * TICK_MS;
}

/** The fields of a process after its name, the first of which is its state. */
function statOf(name) {
  if (!/^\d+$/.test(name)) return undefined;
  try {
    return readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1).split(' ');
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
