/** `runStep`, which `workflow/api` exports for its own compiler. */

/** Does nothing, as the SDK's own: it is only ever compiled away. */
export function runStep(): void {}
