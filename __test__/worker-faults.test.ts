/** A worker that cannot do its work reports it, to its own process and to other processes. */
import { join } from 'node:path';
import { CLI } from './command-line';
import { cleanUp, newFolder, ROOT, runNode } from './support';

afterAll(cleanUp);

const SCRIPT = join(ROOT, '__test__', 'environments', 'worker-faults.mjs');

describe('a worker whose queue has a damaged page', () => {
  // biome-ignore lint/suspicious/noExplicitAny: what the script prints
  let report: any;

  beforeAll(async () => {
    const { code, stdout, stderr } = await runNode([SCRIPT, newFolder(), CLI]);
    if (code !== 0) throw new Error(stderr);
    report = JSON.parse(stdout);
  });

  test('does not start when its first claim can never work, and its World stays usable', () => {
    const corrupt = { name: 'WorkflowWorldError', code: 'CORRUPT' };
    expect(report.start).toEqual(corrupt);
    expect(report.again).toEqual(corrupt);
    expect(report.otherwiseUsable).toBe('resolved');
  });

  test('starts at once while there is nothing that it could deliver to', () => {
    expect(report.startWithoutHandlers).toBe('resolved');
  });

  test('counts every claim that fails', () => {
    expect(report.faults).toEqual([
      {
        duty: 'claim',
        code: 'CORRUPT',
        message: expect.stringContaining('restore it from a backup'),
        times: expect.any(Number),
        isPast: false,
        inOrder: true,
      },
    ]);
    expect(report.faults[0].times).toBeGreaterThan(1);
  });

  test('warns once', () => {
    expect(report.warnings).toEqual([
      {
        name: 'HooklineWarning',
        code: 'HOOKLINE_CORRUPT',
        message: expect.stringContaining('cannot claim messages'),
      },
    ]);
  });

  test('is a problem that the doctor of another process finds while it lives', () => {
    expect(report.doctor).toEqual([
      {
        what: 'Deliveries',
        state: 'problem',
        found: expect.stringMatching(
          /^20\d messages are due.* the worker of process \d+ cannot claim messages: .*CORRUPT/,
        ),
      },
    ]);
    expect(report.doctorAfterTheEnd).toEqual([
      expect.objectContaining({
        state: 'problem',
        found: expect.stringContaining('no process delivers'),
      }),
    ]);
  });

  test('is what a run waits for, as its explanation says', () => {
    expect(report.explain).toEqual([
      expect.objectContaining({ what: expect.stringContaining('cannot claim messages') }),
    ]);
  });

  test('that is mended goes on, and its fault is past', () => {
    expect(report.mended).toEqual({ duty: 'claim', isPast: true, others: 0 });
  });
});
