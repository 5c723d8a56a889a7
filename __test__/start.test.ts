/** `start` without real workflows: what it writes, where, and what it refuses. */
import { createWorld, getRun, type Run, start, type World } from 'hookline';
import { eventTypes, newDatabase, newWorld, readAll, worldPerTest } from './support';

const WORKFLOW = { workflowId: 'workflow//./a//b' };
const FLOW_PREFIX = '__wkf_workflow_';

let world: World;

worldPerTest((made) => {
  ({ world } = made);
});

/** The first messages that a World delivers, by run. */
function delivered(to: World, count: number): Promise<unknown[]> {
  return new Promise((resolve) => {
    const messages: unknown[] = [];
    to.createQueueHandler(FLOW_PREFIX, async (message) => {
      messages.push(message);
      if (messages.length === count) resolve(messages);
    });
  });
}

test('a start is one event and one plain wake-up', async () => {
  const messages = delivered(world, 1);
  const run = await start(WORKFLOW, [1, 'two']);
  expect(run.runId).toMatch(/^wrun_[0-9A-Z]{26}$/);
  expect(await run.status).toBe('pending');
  expect(await eventTypes(world, run.runId)).toEqual(['run_created']);
  await world.start();
  expect(await messages).toEqual([expect.objectContaining({ runId: run.runId })]);
  expect(Object.keys((await messages)[0] as object)).not.toContain('runInput');
});

test('runs are listed in the order of their starts', async () => {
  const runs: Run<unknown>[] = [];
  for (let n = 0; n < 20; n += 1) runs.push(await start(WORKFLOW));
  const { data } = await world.runs.list({ pagination: { sortOrder: 'asc' } });
  expect(data.map(({ runId }) => runId)).toEqual(runs.map(({ runId }) => runId));
});

test('a given World gets the run, the streams among its arguments, and what the run is asked', async () => {
  const other = newWorld({ url: newDatabase() });
  const bytes = new Response('streamed').body;
  const run = await start(WORKFLOW, [bytes], { world: other });
  expect(await run.exists).toBe(true);
  expect(await getRun(run.runId).exists).toBe(false);
  const [name] = await until(async () => {
    const names = await other.listStreamsByRunId(run.runId);
    const done = names[0] && (await other.getStreamInfo(names[0], run.runId)).done;
    return done ? names : undefined;
  });
  const texts = await readAll(await other.readFromStream(name as string));
  expect(texts.join('')).toContain('streamed');
  expect(await world.listStreamsByRunId(run.runId)).toEqual([]);
});

test('latest is the current deployment, and says so once', async () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const deployments = [];
  for (let n = 0; n < 2; n += 1) {
    const { runId } = await start(WORKFLOW, [], { deploymentId: 'latest' });
    deployments.push((await world.runs.get(runId)).deploymentId);
  }
  expect(deployments).toEqual([await world.getDeploymentId(), await world.getDeploymentId()]);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]?.[0]).toContain("deploymentId: 'latest' has no effect");
  warn.mockRestore();
});

test('a start that is refused leaves nothing', async () => {
  const log = jest.spyOn(console, 'error').mockImplementation(() => undefined);
  const refused = [
    start(null as never),
    start({ workflowId: 'no good' }),
    start(WORKFLOW, [() => 1]),
    start(WORKFLOW, [], { specVersion: 99 }),
  ];
  const outcomes = await Promise.allSettled(refused);
  expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
  expect((await world.runs.list()).data).toEqual([]);
  log.mockRestore();
});

test('a producer starts runs', async () => {
  const other = createWorld({ url: newDatabase(), role: 'producer' });
  const { runId } = await start(WORKFLOW, [], { world: other });
  expect(await eventTypes(other, runId)).toEqual(['run_created']);
  await other.close();
});

test('who reads a stream of a run is told when that fails, also meanwhile', async () => {
  const other = newWorld();
  const run = await start(WORKFLOW, [], { world: other });
  const open = run.readable.getReader().read();
  open.catch(() => undefined);
  await other.writeToStream('another stream', run.runId, 'x');
  await other.close();
  // The SDK's reader tries again before it gives up, and then its error has another text.
  await expect(open).rejects.toThrow(/closed|exceeded/);
  const late = run.getReadable().getReader().read();
  await expect(late).rejects.toMatchObject({ name: 'WorkflowWorldError', code: 'CLOSED' });
});

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((later) => setTimeout(later, 5));
  }
}
