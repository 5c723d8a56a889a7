/** Every example of the documentation page, run: found, not found, and out of order. */
import { cleanUp, devalueString, newDatabase, newFolder, newHook, newWorld } from './support';
import * as basicRoute from './types/samples/basic-route';
import * as hookObject from './types/samples/hook-object';
import * as logAndResume from './types/samples/log-and-resume';
import { approveRequest } from './types/samples/server-action';
import * as typedPayload from './types/samples/typed-payload';

const ROUTES = { basicRoute, hookObject, logAndResume, typedPayload };
const BODY = { data: { ok: true }, approved: true, comment: 'fine' };

beforeAll(() => {
  for (const method of ['log', 'info', 'warn', 'error'] as const) {
    jest.spyOn(console, method).mockImplementation(() => undefined);
  }
});

afterEach(async () => {
  delete process.env.WORKFLOW_HOOKLINE_URL;
  await cleanUp();
});

function post(token: string): Request {
  return new Request('http://localhost/', {
    method: 'POST',
    body: JSON.stringify({ token, ...BODY }),
  });
}

/** A live hook with this token, in the database that the environment names. */
async function liveHook(token: string) {
  const url = newDatabase();
  process.env.WORKFLOW_HOOKLINE_URL = url;
  return newHook(newWorld({ url }), token, { metadata: devalueString('m') });
}

describe.each(Object.entries(ROUTES))('the example %s', (_name, { POST }) => {
  test('answers 200 with the run id', async () => {
    const { runId } = await liveHook('token');
    const response = await POST(post('token'));
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ runId });
  });

  test('answers 404 for a token that names no hook', async () => {
    await liveHook('token');
    const response = await POST(post('nobody'));
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: 'Hook not found' });
  });

  test('answers 500 when the database cannot be used', async () => {
    process.env.WORKFLOW_HOOKLINE_URL = newFolder();
    const response = await POST(post('token'));
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({ error: 'Failed to resume hook' });
  });
});

test('the server action answers the run id, and fails in its own words', async () => {
  const { runId } = await liveHook('token');
  expect(await approveRequest('token', true)).toBe(runId);
  await expect(approveRequest('nobody', true)).rejects.toThrow('Failed to resume hook');
});
