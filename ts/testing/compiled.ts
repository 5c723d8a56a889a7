/** The workflows that a plugin for a test runner has compiled for this process. */

const COMPILED = Symbol.for('hookline//test-compiled');

const globals = globalThis as { [COMPILED]?: () => Promise<unknown> };

/**
 * From now on Worlds for tests deliver to compiled workflows, which `load` loads at the first
 * delivery: a test that runs no workflow does not pay for them, and a test can mock what they
 * import. `undefined` ends that.
 */
export function useCompiled(load: (() => Promise<unknown>) | undefined): void {
  let loaded: Promise<unknown> | undefined;
  globals[COMPILED] =
    load &&
    (() => {
      loaded ??= load();
      return loaded;
    });
}

/** Whether there are compiled workflows. */
export function hasCompiled(): boolean {
  return globals[COMPILED] !== undefined;
}

/** Loads the compiled workflows, if there are any and they are not loaded yet. */
export async function loadCompiled(): Promise<void> {
  await globals[COMPILED]?.();
}
