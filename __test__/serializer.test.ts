/**
 * The bundled serializer against the installed SDK, in a child process: the SDK is ESM, which Jest
 * cannot load, and both sides then see the very same values.
 */
import { join } from 'node:path';
import { ROOT, runNode } from './support';

const SCRIPT = `
  import { createRequire } from 'node:module';
  import * as util from 'node:util';
  import * as sdk from '@workflow/core/serialization';
  import { importKey } from '@workflow/core/encryption';
  const require = createRequire(import.meta.url);
  const ours = require(${JSON.stringify(join(ROOT, 'dist', 'sdk-4.js'))});

  class Points extends Array {
    static [Symbol.for('workflow-' + 'serialize')](points) { return [...points]; }
    static [Symbol.for('workflow-' + 'deserialize')](points) { return Points.from(points); }
  }
  Points.classId = 'test//Points';
  class Point {
    constructor(x, y) { this.x = x; this.y = y; }
    static [Symbol.for('workflow-' + 'serialize')](point) { return [point.x, point.y]; }
    static [Symbol.for('workflow-' + 'deserialize')]([x, y]) { return new Point(x, y); }
  }
  Point.classId = 'test//Point';
  globalThis[Symbol.for('workflow-class-registry')] = new Map([['test//Point', Point], ['test//Points', Points]]);
  const cycle = { name: 'cycle' };
  cycle.self = cycle;
  const shared = { a: 1 };
  const sparse = [1, , 3];
  const withCause = new TypeError('wrong');

  const values = {
    undefined: undefined, null: null, true: true, zero: 0, minusZero: -0, NaN: NaN,
    infinity: -Infinity, float: 1.5, bigint: 123456789012345678901234567890n,
    empty: '', text: 'a "b" \\u2028 \\ud83d\\ude00 </script>', lone: '\\ud800',
    object: { a: { b: [1, 'two', null, undefined] } }, array: [], sparse, cycle,
    repeated: [shared, shared], nullPrototype: Object.assign(Object.create(null), { a: 1 }),
    date: new Date(1234567890123), invalidDate: new Date(NaN), regexp: /a+"\\/b/giu,
    map: new Map([['k', new Map([[{ deep: 1 }, 2]])]]), set: new Set([1, 'a', new Set()]),
    url: new URL('https://example.com/a?b=c#d'), params: new URLSearchParams('a=1&a=2'),
    noParams: new URLSearchParams(), headers: new Headers({ 'x-a': '1', 'x-b': '2' }),
    error: withCause,
    bytes: new Uint8Array([0, 1, 255]), noBytes: new Uint8Array(0), buffer: Buffer.from('abc'),
    view: new Uint8Array([1, 2, 3, 4]).subarray(1, 3), arrayBuffer: new Uint8Array([5]).buffer,
    int8: new Int8Array([-1]), clamped: new Uint8ClampedArray([300]), int16: new Int16Array([-2]),
    uint16: new Uint16Array([3]), int32: new Int32Array([-4]), uint32: new Uint32Array([5]),
    float32: new Float32Array([0.5]), float64: new Float64Array([0.1]),
    bigint64: new BigInt64Array([-6n]), biguint64: new BigUint64Array([7n]),
    instance: new Point(1, 2), class: Point, list: Points.from([1, 2]), nested: { points: [new Point(3, 4)] },
  };

  const plainNames = new Set(['undefined', 'null', 'true', 'zero', 'minusZero', 'NaN', 'infinity',
    'float', 'empty', 'text', 'lone', 'object', 'array', 'sparse', 'repeated', 'manyValues']);
  values.manyValues = Array.from({ length: 500 }, (_, index) => ({ index, name: 'n' + (index % 7) }));
  values.ownConstructor = { constructor: Point, x: 1 };
  values.deep = Array.from({ length: 40 }).reduce((inner) => [inner], 1);

  // Two invalid dates are not deeply equal in Node.
  const invalid = (value) => value instanceof Date && Number.isNaN(value.getTime());
  const isDeepStrictEqual = (a, b) => util.isDeepStrictEqual(a, b) || (invalid(a) && invalid(b));
  const failures = [];
  const check = (name, ok) => { if (!ok) failures.push(name); };
  const dehydrate = (side, value, key, v1 = false) =>
    side.dehydrateStepReturnValue(value, 'wrun_1', key, [], globalThis, v1, true);
  const hydrate = (side, bytes, key) => side.hydrateStepArguments(bytes, 'wrun_1', key);
  const key = await importKey(new Uint8Array(32).fill(7));

  for (const [name, value] of Object.entries(values)) {
    const theirs = await dehydrate(sdk, value);
    const mine = await dehydrate(ours, value);
    check(name + ': bytes', Buffer.compare(theirs, mine) === 0);
    const short = ours.dehydratePlain(value);
    check(name + ': plain bytes', !short || Buffer.compare(theirs, short) === 0);
    check(name + ': taken for plain', Boolean(short) === plainNames.has(name));
    const read = await hydrate(sdk, theirs);
    check(name + ': theirs read by ours', isDeepStrictEqual(await hydrate(ours, theirs), read));
    check(name + ': ours read by theirs', isDeepStrictEqual(await hydrate(sdk, mine), read));
    const [a, b] = [await dehydrate(sdk, value, key), await dehydrate(ours, value, key)];
    check(name + ': encrypted', isDeepStrictEqual(await hydrate(ours, a, key), read)
      && isDeepStrictEqual(await hydrate(sdk, b, key), read));
    if (['class', 'instance', 'list', 'nested'].includes(name)) continue;
    const plain = [await dehydrate(sdk, value, undefined, true), await dehydrate(ours, value, undefined, true)];
    check(name + ': spec version 1', isDeepStrictEqual(plain[0], plain[1]));
  }

  const tagged = { [Symbol.toStringTag]: 'Map', a: 1 };
  check('tagged: taken for plain', ours.dehydratePlain(tagged) === undefined);
  const refusal = (side, value) => dehydrate(side, value).then(() => 'accepted', (error) => error.name + error.message);
  console.error = () => {};
  for (const key of ['{"__proto__":1}', '[{"a":{"__proto__":null}}]']) {
    check('plain ' + key, ours.dehydratePlain(JSON.parse(key)) === undefined);
  }
  for (const value of [() => 1, JSON.parse('{"__proto__":1}'), { [Symbol('s')]: 1 }, { deep: [Symbol('s')] }, new (class Foreign {})(), new DOMException('gone')]) {
    check('refusal of ' + typeof value, await refusal(sdk, value) === await refusal(ours, value));
  }
  const versions = ['4.8.9', '4.6.0', '4.5.9', '4.2.0-beta.64', '4.2.0-beta.63', '5.0.0-beta.14',
    '5.0.0-beta.15', 'nonsense', '', undefined];
  const theirsOf = (await import(${JSON.stringify(
    join(ROOT, 'node_modules', '@workflow', 'core', 'dist', 'capabilities.js'),
  )})).getRunCapabilities;
  for (const version of versions) {
    check('capabilities of ' + version,
      isDeepStrictEqual(ours.getRunCapabilities(version), theirsOf(version)));
  }
  process.stdout.write(JSON.stringify({ compared: Object.keys(values).length, failures }));
  process.exit(0);
`;

test('the bundled serializer and the installed SDK write the same bytes and read each other', async () => {
  const ended = await runNode(['--input-type=module', '-e', SCRIPT]);
  expect(ended.stderr).toBe('');
  const { compared, failures } = JSON.parse(ended.stdout);
  expect(failures).toEqual([]);
  expect(compared).toBeGreaterThan(40);
}, 60_000);

test('a payload that cannot be serialized is not logged', async () => {
  const script = `
    const ours = require(${JSON.stringify(join(ROOT, 'dist', 'sdk-4.js'))});
    const payload = { password: Object.assign(() => 1, { secret: 'hunter2' }) };
    ours.dehydrateStepReturnValue(payload, 'wrun_1', undefined, [], globalThis, false, true).catch(
      (error) => console.log(error.name, error.message),
    );
  `;
  const { stdout, stderr } = await runNode(['-e', script]);
  expect(stdout).toMatch(/^WorkflowRuntimeError Failed to serialize .* at path "\.password"/);
  expect(stdout + stderr).not.toContain('hunter2');
});
