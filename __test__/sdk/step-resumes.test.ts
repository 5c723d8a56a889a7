/** Steps resume hooks of other runs, and are cut off after that, or fail. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../crash/harness';
import { cleanUp, freshData, SDKS, startApp, type Via } from './harness';

const LIMIT_MS = 120_000;
const KEYS = `a:${Buffer.alloc(32, 7).toString('base64')}`;

afterEach(cleanUp);

describe.each(SDKS)('with the SDK %s', (sdk) => {
  test.each<[Via, string, Record<string, string>]>([
    ['sdk', 'encrypted', { WORKFLOW_HOOKLINE_ENCRYPTION_KEYS: KEYS }],
    ['hookline', 'plain', {}],
  ])(
    'a step that a kill cuts off after its resumes makes them once (%s, %s)',
    async (via, _, env) => {
      const data = freshData();
      const first = await startApp({ data, sdk, env });
      const tokens = ['waits', 'gone', 'taken'];
      const inboxes = await Promise.all(tokens.map((token) => first.start('inbox', token)));
      await first.hooksReady(...tokens);
      const lettersTo = (token: string) => [
        { n: 1 },
        { n: 1 },
        { n: 2, ...(token !== 'waits' && { done: true }) },
      ];
      const senders = await Promise.all(
        tokens.map((token) => first.start('sends', via, token, lettersTo(token), data)),
      );
      const sent = () =>
        existsSync(join(data, 'sent')) ? readFileSync(join(data, 'sent'), 'utf8').split('\n') : [];
      const haveSent = (times: number) => () => sent().length === times * tokens.length + 1;
      await until('all has been sent', LIMIT_MS, haveSent(1));
      for (const runId of inboxes.slice(1)) expect(await first.result(runId)).toEqual([1, 1, 2]);
      const next = await first.start('inbox', 'taken');
      await first.hooksReady('taken');
      await first.kill();

      const second = await startApp({ data, sdk, env });
      await until('all has been sent again', LIMIT_MS, haveSent(2));
      writeFileSync(join(data, 'gate'), '');
      for (const runId of senders) expect(await second.result(runId)).toBe(second.pid);
      for (const token of ['waits', 'taken'])
        await second.resume('hookline', token, { done: true });
      expect(await second.result(inboxes[0] as string)).toEqual([1, 1, 2]);
      expect(await second.result(next)).toEqual([]);
      const late = second.resume(via, 'gone', { n: 3 });
      await expect(late).rejects.toMatchObject({ name: 'HookNotFoundError' });
    },
    LIMIT_MS,
  );

  test(
    'a step that has failed after its resume resumes anew',
    async () => {
      const app = await startApp({ data: freshData(), sdk });
      const inbox = await app.start('inbox', 'again');
      await app.hooksReady('again');
      const sender = await app.start('sendsAgain', 'again', { n: 1 });
      expect(await app.result(sender)).toBe('sent again');
      await app.resume('sdk', 'again', { done: true });
      expect(await app.result(inbox)).toEqual([1, 1]);
    },
    LIMIT_MS,
  );
});
