import { copyBytes, decodeJson, encodeJson, isBytes } from '../ts/native/json';

const roundTrip = (value: unknown) => decodeJson(encodeJson(value) as string);

test('bytes survive at any depth, as plain Uint8Arrays', () => {
  const value = { a: [{ b: new Uint8Array([0, 1, 255]) }], c: new Uint8Array(0), d: 'text' };
  expect(roundTrip(value)).toEqual(value);
  expect(roundTrip(new Uint8Array([7]))).toEqual(new Uint8Array([7]));
});

test('a Buffer is written as bytes, and comes back as a Uint8Array and not a Buffer', () => {
  const back = roundTrip({ body: Buffer.from('abc') }) as { body: Uint8Array };
  expect(Buffer.isBuffer(back.body)).toBe(false);
  expect(Array.from(back.body)).toEqual([97, 98, 99]);
});

test('a view is written as its own part of the buffer', () => {
  const whole = new Uint8Array([1, 2, 3, 4]);
  expect(roundTrip(whole.subarray(1, 3))).toEqual(new Uint8Array([2, 3]));
});

test('plain JSON is read as it is', () => {
  expect(decodeJson('{"__healthCheck":true,"correlationId":"c"}')).toEqual({
    __healthCheck: true,
    correlationId: 'c',
  });
  expect(decodeJson('null')).toBeNull();
});

test('an object that only resembles a tag is left alone', () => {
  const value = { __type: 'Uint8Array', data: 5 };
  expect(roundTrip(value)).toEqual(value);
  expect(roundTrip({ __type: 'Date', data: 'x' })).toEqual({ __type: 'Date', data: 'x' });
});

test('a value that JSON cannot hold has no text', () => {
  expect(encodeJson(undefined)).toBeUndefined();
  expect(() => encodeJson(1n)).toThrow(TypeError);
});

test('bytes of another kind are not taken for a Uint8Array', () => {
  expect(isBytes(new Uint8Array(1))).toBe(true);
  expect(isBytes(Buffer.alloc(1))).toBe(true);
  expect(isBytes(new Uint16Array(1))).toBe(false);
  expect(isBytes([1])).toBe(false);
});

test('a copy shares no memory with its source', () => {
  const source = Buffer.from([1, 2, 3]);
  const copy = copyBytes(source, 1);
  source.fill(9);
  expect(Array.from(copy)).toEqual([2, 3]);
  expect(copy.buffer.byteLength).toBe(2);
});

test('a lone surrogate becomes the replacement character; text that looks like one stays', () => {
  expect(roundTrip({ message: 'cut \ud83d', bytes: new Uint8Array([1]) })).toEqual({
    message: 'cut \ufffd',
    bytes: new Uint8Array([1]),
  });
  expect(roundTrip(['\\ud800', 'whole \ud83d\ude00'])).toEqual(['\\ud800', 'whole \ud83d\ude00']);
});
