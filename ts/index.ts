/**
 * The package's entry. Loading it opens nothing, starts nothing, and loads neither the addon nor
 * the bundled serializer. `../index.d.ts` documents what it exports.
 */

export * from './api/everywhere';
export { getHookByToken, resumeHook } from './api/hooks';
export { registerLifecycleHooks } from './api/lifecycle-hooks';
export { getRun, Run } from './api/run';
export { runStep } from './api/run-step';
export { start } from './api/start';
export { startDelivery } from './api/start-delivery';
export { waitForHook } from './api/wait-for-hook';
export { resumeWebhook } from './api/webhook';
export { createWorld, createWorld as default } from './world/world';
