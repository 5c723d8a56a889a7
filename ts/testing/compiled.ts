/** The workflows that a plugin for a test runner has compiled for this process. */
import { makeFirstRequest, type Route } from '../world/route-handler';

const COMPILED = Symbol.for('hookline//test-compiled');

/** The module of the compiled workflows. */
type Workflows = { POST?: Route } | undefined;

interface Compiled {
  load(): Promise<Workflows>;
  loaded?: Promise<unknown>;
  failure?: Error;
}

const globals = globalThis as { [COMPILED]?: Compiled };

/**
 * From now on Worlds for tests deliver to compiled workflows, which `load` loads at the first
 * delivery: a test that runs no workflow does not pay for them, and a test can mock what they
 * import. `undefined` ends that.
 */
export function useCompiled(load: (() => Promise<Workflows>) | undefined): void {
  globals[COMPILED] = load && { load };
}

/** Whether there are compiled workflows. */
export function hasCompiled(): boolean {
  return globals[COMPILED] !== undefined;
}

/** Loads the compiled workflows, if there are any and they are not loaded yet. */
export async function loadCompiled(): Promise<void> {
  const compiled = globals[COMPILED];
  if (!compiled) return;
  compiled.loaded ??= loadAndRegister(compiled).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    compiled.failure = new Error(`The compiled workflows cannot be loaded: ${reason}`, { cause });
    // A test that only awaits the end of a run would never learn it.
    console.error(compiled.failure);
    throw compiled.failure;
  });
  await compiled.loaded;
}

/** SDK 4.x registers its handlers when its modules are loaded, SDK 5.x at the first request. */
async function loadAndRegister({ load }: Compiled): Promise<void> {
  const { POST } = (await load()) ?? {};
  if (POST) await makeFirstRequest(POST);
}

/** Throws when the compiled workflows could not be loaded, so that nothing a test waits for comes. */
export function throwIfNotLoadable(): void {
  const failure = globals[COMPILED]?.failure;
  if (failure) throw failure;
}
