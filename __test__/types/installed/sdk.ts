/**
 * Compiled in an app where the SDK is installed, once for each line: our World is one of its Worlds, and
 * our functions are its own.
 */

import {
  createWorld,
  getHookByToken,
  getRun,
  type Hook,
  type Run,
  resumeHook,
  resumeWebhook,
  type StartOptions,
  type StopSleepResult,
  type start,
  type WorkflowReadableStreamOptions,
} from 'hookline';
import type * as api from 'workflow/api';
import type { getWorld } from 'workflow/runtime';

type SdkWorld = Awaited<ReturnType<typeof getWorld>>;
type SdkHook = Awaited<ReturnType<SdkWorld['hooks']['getByToken']>>;

createWorld() satisfies SdkWorld;
createWorld() satisfies Required<Pick<SdkWorld, 'start' | 'close'>>;

({}) as Hook satisfies SdkHook;
({}) as SdkHook satisfies Hook;

getHookByToken satisfies typeof api.getHookByToken;
// Our payload is NonNullable, as the page documents it; the SDK's type allows null too.
resumeHook<object> satisfies typeof api.resumeHook<object>;

// The run functions accept the same arguments as the SDK's; each side has its own class of runs.
null as unknown as Parameters<typeof api.start> satisfies Parameters<typeof start>;
getRun satisfies (...args: Parameters<typeof api.getRun>) => { runId: string };
resumeWebhook satisfies typeof api.resumeWebhook;
({}) as Run<string> satisfies Pick<api.Run<string>, keyof api.Run<string>>;
// A run of workflow 4 has no sink for other writers.
({}) as api.Run<string> satisfies Pick<Run<string>, keyof Run<string> & keyof api.Run<string>>;
({}) as api.StartOptions satisfies StartOptions;
({}) as WorkflowReadableStreamOptions satisfies api.WorkflowReadableStreamOptions;
({}) as api.StopSleepResult satisfies StopSleepResult;
