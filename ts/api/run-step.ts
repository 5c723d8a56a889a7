/** `runStep`, which `workflow/api` exports for its own compiler. */

/** Does nothing, like the SDK's own: the SDK's compiler removes its calls. */
export function runStep(): void {}
