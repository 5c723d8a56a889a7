/** How deliveries reach SDK 5.x, whose handler registers itself only at the first request. */
import { type App, cleanUp, freshData, startApp } from './harness';

afterAll(cleanUp);

async function approve(app: App): Promise<unknown> {
  const runId = await app.start('approval', 'token', 'invoice');
  await app.hooksReady('token');
  await app.resume('hookline', 'token', { approved: true, by: 'Ada' });
  return app.result(runId);
}

test('a route that was given to the World gets its messages within the process', async () => {
  const env = { WORKFLOW_HOOKLINE_DELIVERY: 'direct', APP_REGISTERS: 'route' };
  const app = await startApp({ data: freshData(), sdk: 'workflow-5', env });
  await expect(approve(app)).resolves.toMatchObject({ record: 'invoice: approved by Ada' });
}, 60_000);

test.each(['auto', 'direct'])(
  'with delivery %s the first message reaches a route that nobody has asked yet',
  async (delivery) => {
    const env = { WORKFLOW_HOOKLINE_DELIVERY: delivery };
    const app = await startApp({ data: freshData(), sdk: 'workflow-5', env });
    await expect(approve(app)).resolves.toMatchObject({ record: 'invoice: approved by Ada' });
  },
  60_000,
);
