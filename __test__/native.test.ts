import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cleanUp, loadModule, newFolder, ROOT } from './support';

type Native = typeof import('../ts/native/binding');

/** The loader inside a bundle, where its own file name does not exist. */
const bundled = () => loadModule<Native>('ts/native/binding.ts', '/ROOT/.next/server/route.js');

afterEach(async () => {
  jest.restoreAllMocks();
  await cleanUp();
});

test('the addon is the one beside the package, loaded once', () => {
  const { loadBinding } = loadModule<Native>(
    'ts/native/binding.ts',
    join(ROOT, 'dist', 'index.js'),
  );
  expect(loadBinding()).toBe(loadBinding());
  expect(loadBinding().NativeWorld).toEqual(expect.any(Function));
});

test('in a bundle the addon is found from the working directory, by the name of the package', () => {
  const spy = jest.spyOn(process, 'cwd').mockReturnValue(ROOT);
  expect(bundled().loadBinding().addonVersion()).toBe(
    createRequire(join(ROOT, 'index.js'))('./native/binding.js').addonVersion(),
  );
  expect(spy).toHaveBeenCalled();
});

test('an addon that is not there is an error that says so, and is looked for again', () => {
  const spy = jest.spyOn(process, 'cwd').mockReturnValue(newFolder());
  const { loadBinding } = bundled();
  expect(loadBinding).toThrow(/native addon of hookline could not be loaded on \w+-\w+/);
  expect(() => loadBinding()).toThrow(
    expect.objectContaining({ name: 'WorkflowWorldError', code: 'NO_ADDON' }),
  );
  expect(loadBinding).toThrow(/bundled, .*externalDependencies: \["hookline"\]/);
  spy.mockReturnValue(ROOT);
  expect(loadBinding().NativeWorld).toEqual(expect.any(Function));
});

test('a reply with a fault is thrown as the class for its code', () => {
  const { answerOf } = loadModule<Native>('ts/native/binding.ts');
  const error = JSON.stringify({ code: 'HOOK_NOT_FOUND', message: 'm', details: { token: 't' } });
  expect(() => answerOf({ error })).toThrow(
    expect.objectContaining({ name: 'HookNotFoundError', token: 't' }),
  );
});

test('a reply may have neither JSON nor bytes', () => {
  const { answerOf } = loadModule<Native>('ts/native/binding.ts');
  expect(answerOf({})).toEqual({ json: undefined, bytes: new Uint8Array(0) });
});
