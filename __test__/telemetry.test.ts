/** Compares the spans of our functions with the SDK's, with the real OpenTelemetry SDK. */
import { join } from 'node:path';
import { childEnv, cleanUp, newDatabase, ROOT, runNode } from './support';

interface Span {
  via: 'sdk' | 'hookline';
  call: string;
  name: string;
  kind: number;
  attributes: Record<string, unknown>;
  status: { code: number; message?: string };
  isChild: boolean;
  traceId: string;
  links: string[];
}

interface Noted {
  spans: Span[];
  carriers: Record<'sdk' | 'hookline', Record<string, string>>;
}

async function noted(env: Record<string, string>): Promise<Noted> {
  const ended = await runNode([join(ROOT, '__test__/telemetry/spans.mjs')], {
    env: childEnv({
      WORKFLOW_TARGET_WORLD: 'hookline',
      WORKFLOW_HOOKLINE_URL: newDatabase(),
      ...env,
    }),
  });
  const line = ended.stdout.split('\n').find((text) => text.startsWith('{"spans"'));
  if (!line) throw new Error(`it printed no spans: ${ended.stdout}${ended.stderr}`);
  return JSON.parse(line);
}

/** The parts of a span that must be equal on both sides; ids and tokens differ. */
function comparable({ via: _via, traceId: _traceId, links, attributes, ...span }: Span) {
  const kinds = Object.entries(attributes).map(([name, value]) => {
    const isOwn = name.endsWith('.id') || name === 'workflow.hook.token';
    return [name, isOwn ? typeof value : value];
  });
  return { ...span, attributes: Object.fromEntries(kinds), links: links.length };
}

const spansOf = ({ spans }: Noted, via: string) =>
  spans.filter((span) => span.via === via).map(comparable);

afterAll(cleanUp);

test('asked to show tokens, our spans are those of the SDK', async () => {
  const all = await noted({ WORKFLOW_HOOKLINE_TRACE_TOKENS: 'true' });
  const ours = spansOf(all, 'hookline');
  expect(ours.map(({ call, name }) => [call, name])).toEqual([
    ['start', 'workflow.start workflow//./a//traced'],
    ['resume', 'hook.resume'],
    ['resume by hook', 'hook.resume'],
    ['unknown', 'hook.resume'],
    ['webhook', 'hook.resume'],
    ['bad payload', 'hook.resume'],
  ]);
  const theirs = spansOf(all, 'sdk');
  const withoutMessages = (spans: ReturnType<typeof spansOf>) =>
    spans.map(({ status, ...span }) => ({ ...span, code: status.code }));
  expect(withoutMessages(ours)).toEqual(withoutMessages(theirs));
  // The messages of equal failures are equal too; only the SDK's message for a payload names the
  // place in the payload.
  for (const call of ['resume', 'unknown']) {
    const statusOf = (spans: typeof ours) => spans.find((span) => span.call === call)?.status;
    expect(statusOf(ours)).toEqual(statusOf(theirs));
  }
}, 60_000);

test('unless asked, no span holds a token', async () => {
  const { spans } = await noted({});
  const ours = spans.filter(({ via }) => via === 'hookline');
  expect(ours).toHaveLength(6);
  expect(JSON.stringify(ours)).not.toContain('secret');
  expect(JSON.stringify(ours)).not.toContain('webhook of');
  const resumed = ours.find(({ call }) => call === 'resume');
  expect(resumed?.attributes).toEqual({
    'workflow.hook.id': expect.any(String),
    'workflow.run.id': expect.any(String),
    'workflow.name': 'workflow//./a//traced',
  });
  const unknown = ours.find(({ call }) => call === 'unknown');
  expect(unknown?.attributes).toEqual({ 'workflow.hook.found': false });
}, 60_000);

test('a run remembers the trace that started it, and a resume is linked to that', async () => {
  const { spans, carriers } = await noted({});
  for (const via of ['sdk', 'hookline'] as const) {
    const started = spans.find((span) => span.via === via && span.call === 'start');
    expect(carriers[via].traceparent).toContain(started?.traceId);
    const resumed = spans.find((span) => span.via === via && span.call === 'resume');
    expect(resumed?.links).toEqual([started?.traceId]);
  }
}, 60_000);

test('without a tracer there are no spans, and everything works', async () => {
  const { spans, carriers } = await noted({ TRACED: 'no' });
  expect(spans).toEqual([]);
  expect(carriers).toEqual({ sdk: {}, hookline: {} });
}, 60_000);

test('a malformed setting is an error of the first operation', async () => {
  const { createWorld } = await import('hookline');
  const world = createWorld({ url: newDatabase(), traceTokens: 'yes' as never });
  await expect(world.runs.list({})).rejects.toMatchObject({ code: 'BAD_CONFIG' });
  await world.close();
});
