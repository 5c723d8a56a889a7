import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { loadModule, ROOT } from './support';

const { invalid, toError } =
  loadModule<typeof import('../ts/native/errors')>('ts/native/errors.ts');

const fault = (code: string, details: Record<string, unknown> = {}) =>
  toError({ code, message: `message of ${code}`, details });

test.each([
  ['RUN_NOT_FOUND', { runId: 'wrun_1' }, 'WorkflowRunNotFoundError', { runId: 'wrun_1' }],
  [
    'HOOK_NOT_FOUND',
    { token: 't' },
    'HookNotFoundError',
    { token: 't', message: 'Hook not found' },
  ],
  ['ENTITY_CONFLICT', {}, 'EntityConflictError', { message: 'message of ENTITY_CONFLICT' }],
  ['RUN_EXPIRED', {}, 'RunExpiredError', { message: 'message of RUN_EXPIRED' }],
  ['TOO_EARLY', { retryAfter: 3 }, 'TooEarlyError', { retryAfter: 3 }],
  ['THROTTLED', { retryAfter: 5 }, 'ThrottleError', { retryAfter: 5 }],
  [
    'RUN_NOT_SUPPORTED',
    { runSpecVersion: 9, worldSpecVersion: 3 },
    'RunNotSupportedError',
    { runSpecVersion: 9, worldSpecVersion: 3 },
  ],
  ['NOT_FOUND', {}, 'WorkflowWorldError', { status: undefined, code: 'NOT_FOUND' }],
  ['INVALID', {}, 'WorkflowWorldError', { status: 400, code: 'INVALID' }],
  ['BUSY', { status: 503 }, 'WorkflowWorldError', { status: 503, code: 'BUSY' }],
  ['BAD_CONFIG', {}, 'WorkflowWorldError', { status: undefined, code: 'BAD_CONFIG' }],
])('the fault %s becomes the class that the SDK knows', (code, details, name, fields) => {
  const error = fault(code, details);
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name });
  for (const [field, value] of Object.entries(fields)) {
    expect((error as unknown as Record<string, unknown>)[field]).toEqual(value);
  }
});

test('a code named like a member of every object is not looked up there', () => {
  expect(fault('constructor', { status: 500 })).toMatchObject({
    name: 'WorkflowWorldError',
    status: 500,
  });
});

test('a fault without details is still an error', () => {
  const bare = toError({ code: 'HOOK_NOT_FOUND', message: 'm' } as never);
  expect(bare.name).toBe('HookNotFoundError');
  expect(toError({ code: 'IO', message: 'm' } as never).name).toBe('WorkflowWorldError');
});

test('an error prints only the fields that say something', () => {
  const { code, status, ...others } = { ...(fault('NO_ADDON') as object) } as Record<
    string,
    unknown
  >;
  expect({ code, status, others: Object.keys(others) }).toEqual({
    code: 'NO_ADDON',
    status: undefined,
    others: ['name'],
  });
  for (const kind of ['HOOK_NOT_FOUND', 'RUN_NOT_FOUND', 'ENTITY_CONFLICT', 'BUSY']) {
    expect(inspect(fault(kind))).not.toContain('undefined');
  }
});

test('an invalid argument has status 400, so the runtime does not retry it', () => {
  expect(invalid('no')).toMatchObject({ name: 'WorkflowWorldError', status: 400, message: 'no' });
});

test('every code that becomes a WorkflowWorldError is documented', () => {
  const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
  const codes = [...read('src/error.rs').matchAll(/=> "([A-Z_]+)"/g)].map(([, code]) => `${code}`);
  expect(codes).toContain('BUSY');
  const [, documented = ''] = /\* The reason([\s\S]+?)\*\//.exec(read('errors.d.ts')) ?? [];
  const worlds = codes.filter((code) => fault(code).name === 'WorkflowWorldError');
  expect(worlds.filter((code) => !documented.includes(`\`${code}\``))).toEqual([]);
});
