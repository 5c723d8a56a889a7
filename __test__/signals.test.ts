/**
 * SIGTERM and SIGINT: deliveries are finished first, but only where the host does not handle them.
 */
import { join } from 'node:path';
import { BUILD_LIMIT_MS, buildInspector, inspect } from './crash/harness';
import { cleanUp, newFolder, ROOT, runNode } from './support';

const SCRIPT = join(ROOT, '__test__', 'environments', 'signals.mjs');
const LIMIT_MS = 60_000;

beforeAll(buildInspector, BUILD_LIMIT_MS);
afterEach(cleanUp);

/** Runs the script and sends it these signals, the first when it prints `when`. */
async function signalled(way: string, signals: NodeJS.Signals[], when = 'at work\n') {
  const folder = newFolder();
  const waiting = [...signals];
  const ended = await runNode([SCRIPT, way, folder], {}, (stdout, kill) => {
    if (!stdout.includes(when)) return;
    const first = waiting.shift();
    if (first) kill(first);
    // Two signals that follow at once may arrive as one, so send the second after a while.
    for (const signal of waiting.splice(0)) setTimeout(() => kill(signal), 500);
  });
  return { ...ended, messages: inspect(join(folder, 'hookline.db')).messages };
}

test.each<NodeJS.Signals>(['SIGTERM', 'SIGINT'])(
  '%s ends the process as ever, after the delivery in flight is done',
  async (signal) => {
    expect(await signalled('alone', [signal])).toMatchObject({
      code: null,
      signal,
      stdout: 'at work\ndone\n',
      stderr: '',
      messages: 0,
    });
  },
  LIMIT_MS,
);

test(
  'a second signal ends the process at once',
  async () => {
    const ended = await signalled('hangs', ['SIGTERM', 'SIGTERM']);
    expect(ended).toMatchObject({ code: null, signal: 'SIGTERM', stdout: 'at work\n', stderr: '' });
    // The delivery was not acknowledged, so the next process can claim it.
    expect(ended.messages).toBe(1);
  },
  LIMIT_MS,
);

test.each(['host', 'host that listens once'])(
  'a %s of its own is not interfered with',
  async (way) => {
    const ended = await signalled(way, ['SIGTERM']);
    expect(ended).toMatchObject({ code: 7, signal: null, stdout: 'at work\n', stderr: '' });
  },
  LIMIT_MS,
);

test(
  'a host that gave the World its route ends as it wants, after the delivery in flight is done',
  async () => {
    const ended = await signalled('host that gave its route', ['SIGTERM']);
    const stdout = 'at work\ndone\n';
    expect(ended).toMatchObject({ code: 7, signal: null, stdout, stderr: '', messages: 0 });
  },
  LIMIT_MS,
);

test(
  'a host that looks whether it is alone finds that it is',
  async () => {
    const ended = await signalled('host that looks whether it is alone', ['SIGTERM']);
    expect(ended).toMatchObject({ code: null, signal: 'SIGTERM', stdout: 'at work\n' });
  },
  LIMIT_MS,
);

test(
  'a World that was closed leaves signals alone',
  async () => {
    const ended = await signalled('closed', ['SIGTERM'], 'closed\n');
    expect(ended).toMatchObject({ code: null, signal: 'SIGTERM', stderr: '' });
  },
  LIMIT_MS,
);

test(
  'listening for signals keeps no process alive',
  async () => {
    const folder = newFolder();
    expect(await runNode([SCRIPT, 'nothing else', folder])).toMatchObject({ code: 0, stderr: '' });
  },
  LIMIT_MS,
);
