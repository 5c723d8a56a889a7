/** `hookline resume <token> <json>`. */
import { text } from 'node:stream/consumers';
import { resumeHook } from '../index';
import { CommandError, type Context, EXIT } from './context';

const SDK_WORLD = Symbol.for('@workflow/world//cache');

/** Sends a payload to a hook: JSON of the command line, or of standard input for `-`. */
export async function resume(
  { world, print }: Context,
  { token, json }: { token: string; json: string },
): Promise<undefined> {
  const payload = parse(json === '-' ? await text(process.stdin) : json);
  const producer = world('producer');
  // The symbol by which `resumeHook` finds the World of its process.
  (globalThis as { [SDK_WORLD]?: unknown })[SDK_WORLD] = producer;
  const { runId, hookId } = await resumeHook(token, payload as object);
  print.answer({ runId, hookId }, () => print.line(`Resumed hook ${hookId} of run ${runId}.`));
}

function parse(json: string): unknown {
  let payload: unknown;
  try {
    payload = JSON.parse(json);
  } catch {
    // The parser's own message holds a part of the payload, which may be a secret.
    throw new CommandError(
      'The payload is not JSON. A string needs its quotes, in a shell \'"like this"\'.',
      EXIT.usage,
    );
  }
  if (payload === null) throw new CommandError('A payload cannot be null.', EXIT.usage);
  return payload;
}
