/**
 * Reads the argument of `createWorld()` once, without throwing: the first operation reports what is
 * wrong with it. The addon checks the content of a text. This file checks whether a value is a
 * text, a number or a list, because everything crosses to the addon as text, and `{}` would be the
 * path `[object Object]`.
 */
import type { WorldOptions } from '../../index';
import { kindOf } from '../native/kind';
import { FOR_TESTS, TAKES_QUEUE_NAMES } from './config';

/** The options, or why they are bad. A fault names no value, because any value may be a secret. */
export interface Given {
  options: WorldOptions;
  fault?: string;
}

interface Kind {
  /** The allowed values of the option, in words. */
  may: string;
  admits(value: unknown): boolean;
}

/** Half of a surrogate pair cannot cross to the addon. */
const isText = (value: unknown) => typeof value === 'string' && value.isWellFormed();
const text = (may: string): Kind => ({ may, admits: isText });

/** A number or a boolean may also be a string, as in an environment variable. */
const KINDS: Readonly<Record<keyof WorldOptions, Kind>> = {
  url: text('a string: a path, a file: URL, :memory: or a postgres:// URL'),
  listenUrl: text("a string: a postgres:// URL, or 'off'"),
  durability: text("'full' or 'normal'"),
  concurrency: {
    may: 'a number from 1 to 10000',
    admits: (value) => isText(value) || Number.isSafeInteger(value),
  },
  role: text("'all', 'producer', 'worker' or 'reader'"),
  delivery: text("'auto', 'direct' or 'http'"),
  baseUrl: text('a string: an http:// or https:// URL of this app'),
  fileSystem: text("'local' or 'any'"),
  migrate: text("'on' or 'off'"),
  encryptionKeys: {
    may: 'a string id:base64, or a list of such strings',
    admits: (value) => isText(value) || (Array.isArray(value) && value.every(isText)),
  },
  tokens: text("'plain' or 'sealed'"),
  traceTokens: {
    may: 'true or false',
    admits: (value) => isText(value) || typeof value === 'boolean',
  },
  codeMismatch: text("'hold' or 'fail'"),
  streamFlushIntervalMs: {
    may: 'a number of milliseconds, zero or more',
    admits: (value) => typeof value === 'number' && value >= 0 && Number.isFinite(value),
  },
};

/** Reads the options; a getter or a proxy that throws is a fault. */
export function readOptions(given: unknown): Given {
  let at = 'the argument of createWorld()';
  try {
    if (given === undefined || given === null) return { options: {} };
    if (typeof given !== 'object' || Array.isArray(given)) {
      return {
        options: {},
        fault: `createWorld() takes an object of options, not ${kindOf(given)}`,
      };
    }
    const options: Record<PropertyKey, unknown> = {};
    // An option may be inherited, or a getter of a class, so each known name is read. The own keys
    // show unknown options.
    const names = new Set<string | symbol>([
      ...Object.keys(KINDS),
      FOR_TESTS,
      TAKES_QUEUE_NAMES,
      ...Object.keys(given),
    ]);
    for (const name of names) {
      at = `the option ${shown(name)} of createWorld()`;
      const read = (given as Record<PropertyKey, unknown>)[name];
      // A list is copied, because it may change later, and a getter may return another list the
      // next time.
      const value = Array.isArray(read) ? [...read] : read;
      if (value === undefined || value === null) continue;
      const fault = typeof name === 'string' && faultOf(name, value);
      if (fault) return { options: {}, fault };
      options[name] = value;
    }
    return { options };
  } catch {
    return { options: {}, fault: `${at} cannot be read: reading it threw an error` };
  }
}

function faultOf(name: string, value: unknown): string | undefined {
  if (!Object.hasOwn(KINDS, name)) {
    const known = Object.keys(KINDS).join(', ');
    return `createWorld() has no option ${shown(name)}; it has ${known}`;
  }
  const { may, admits } = KINDS[name as keyof WorldOptions];
  if (admits(value)) return undefined;
  const isHalf = typeof value === 'string' && !value.isWellFormed();
  const is = isHalf ? 'a string with half of a surrogate pair' : kindOf(value);
  return `the option ${shown(name)} of createWorld() is ${is}, but must be ${may}`;
}

const NAME_LENGTH_MAX = 50;

/** A name as a message can hold it. */
function shown(name: string | symbol): string {
  return JSON.stringify(String(name).slice(0, NAME_LENGTH_MAX).toWellFormed());
}
