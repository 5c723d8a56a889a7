/** Code that the public types must refuse; compiled with the samples, without the SDK's types. */
import createWorldByDefault, { createWorld, HookNotFoundError, resumeHook } from 'hookline';

// @ts-expect-error a payload is not null: the page says NonNullable
resumeHook<string | null>('token', null);
// @ts-expect-error a number names no hook
resumeHook(1, {});
// @ts-expect-error a hook has a runId, a hookId and more
resumeHook({ token: 'token' }, {});
// @ts-expect-error the payload is of the given type
resumeHook<{ approved: boolean }>('token', { approved: 'yes' });
// @ts-expect-error not a durability
createWorld({ durability: 'sometimes' });
// @ts-expect-error not a choice of file systems
createWorld({ fileSystem: 'nfs' });

createWorld({ fileSystem: 'any' }).specVersion satisfies number;
createWorldByDefault({ url: ':memory:', concurrency: 4 }).specVersion satisfies number;

export function tokenOf(error: unknown): string | undefined {
  return HookNotFoundError.is(error) ? error.token : undefined;
}
