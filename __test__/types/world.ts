/**
 * Compiled with the SDK installed: our World is one of its Worlds, and our functions are its own.
 */
import type * as api from '@workflow/core/runtime';
import type { Hook as SdkHook, World as SdkWorld } from '@workflow/world';
import {
  createWorld,
  getHookByToken,
  getRun,
  type Hook,
  type Run,
  resumeHook,
  resumeWebhook,
  runStep,
  type StartOptions,
  type StopSleepResult,
  type start,
  type WorkflowReadableStreamOptions,
} from 'hookline';

createWorld() satisfies SdkWorld;
createWorld() satisfies Required<Pick<SdkWorld, 'start' | 'close' | 'writeToStreamMulti'>>;

({}) as Hook satisfies SdkHook;
({}) as SdkHook satisfies Hook;

getHookByToken satisfies typeof api.getHookByToken;
// Our payload is NonNullable, as the page documents it; the SDK's type allows null too.
resumeHook<object> satisfies typeof api.resumeHook<object>;

// The run functions accept the same arguments as the SDK's; each side has its own class of runs.
null as unknown as Parameters<typeof api.start> satisfies Parameters<typeof start>;
getRun satisfies (...args: Parameters<typeof api.getRun>) => { runId: string };
resumeWebhook satisfies typeof api.resumeWebhook;
runStep satisfies typeof api.runStep;
({}) as Run<string> satisfies Pick<api.Run<string>, keyof api.Run<string>>;
// A run of workflow 4 has no sink for other writers.
({}) as api.Run<string> satisfies Pick<Run<string>, keyof api.Run<string>>;
({}) as api.StartOptions satisfies StartOptions;
({}) as WorkflowReadableStreamOptions satisfies api.WorkflowReadableStreamOptions;
({}) as api.StopSleepResult satisfies StopSleepResult;
