// What the suite's server gets when it imports `workflow/api`. It reads a hook's metadata as a value,
// which it was when the suite was published; now it is a promise.

import { getHookByToken as getInstalledHook } from 'workflow/api';

export { getRun, resumeHook, start } from 'workflow/api';

export async function getHookByToken(token) {
  const hook = await getInstalledHook(token);
  return { ...hook, metadata: await hook.metadata };
}
