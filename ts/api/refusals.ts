/** The package's functions for code that cannot run them: each throws an error that says so. */

/** `why` goes on after the name of the function: "start() of hookline ...". */
export function refusals(why: string) {
  const refuse = (name: string) => (): never => {
    throw new Error(`${name}() of hookline ${why}`);
  };
  return {
    createWorld: refuse('createWorld'),
    getHookByToken: refuse('getHookByToken'),
    getRun: refuse('getRun'),
    registerLifecycleHooks: refuse('registerLifecycleHooks'),
    resumeHook: refuse('resumeHook'),
    resumeWebhook: refuse('resumeWebhook'),
    runStep: refuse('runStep'),
    start: refuse('start'),
    startDelivery: refuse('startDelivery'),
    waitForHook: refuse('waitForHook'),
    Run: class Run {
      constructor() {
        refuse('new Run')();
      }
    },
  };
}
