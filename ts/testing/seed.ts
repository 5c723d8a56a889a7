/** Makes hooks without a workflow. */
import { randomUUID } from 'node:crypto';
import type { Hook, World } from '../../index';
import type { SeededHook } from '../../testing';
import { presentLine } from '../setup/installed-sdk';
import { encryptionKeyOf } from '../world/keys';
import { currentWorld } from '../world/world';

/** Serializes a value as the SDK does for such a run, and writes the streams within it. */
async function stored(world: World, value: unknown, runId: string): Promise<unknown> {
  const { serializer, specVersion } = presentLine();
  const run = runId === '' ? undefined : await world.runs.get(runId);
  const key = run && (await encryptionKeyOf(world, run));
  const coreVersion = serializer.coreVersion();
  const target = { runId, coreVersion, specVersion, v1Compat: false, key };
  const uploads: Promise<unknown>[] = [];
  const bytes = await serializer.dehydratePayload(value, target, uploads, currentWorld);
  await Promise.all(uploads);
  return bytes;
}

/** Makes hooks on new runs, and remembers those runs. */
export function createSeeder(world: World) {
  const seeded = new Set<unknown>();

  async function seedRun(workflowName: string): Promise<string> {
    const { specVersion, serializer } = presentLine();
    const { run } = await world.events.create(null, {
      eventType: 'run_created',
      specVersion,
      eventData: {
        deploymentId: await world.getDeploymentId(),
        workflowName,
        input: await stored(world, [], ''),
        // It determines how payloads are written.
        executionContext: { workflowCoreVersion: serializer.coreVersion() },
      },
    });
    const runId = run?.runId as string;
    await world.events.create(runId, { eventType: 'run_started', specVersion });
    seeded.add(runId);
    return runId;
  }

  return {
    /** Whether this seeder made the run, so that the run has no workflow code. */
    isSeeded: (runId: unknown) => seeded.has(runId),
    /** A live hook, as `createHook()` in a workflow makes one. */
    async seedHook({
      token,
      metadata,
      isWebhook,
      workflowName,
      runId,
    }: SeededHook = {}): Promise<Hook> {
      const owner = runId ?? (await seedRun(workflowName ?? 'workflow//./seeded//seeded'));
      const { event, hook } = await world.events.create(owner, {
        eventType: 'hook_created',
        specVersion: presentLine().specVersion,
        correlationId: `hook_${randomUUID().replaceAll('-', '')}`,
        eventData: {
          token: token ?? randomUUID(),
          metadata: metadata === undefined ? undefined : await stored(world, metadata, owner),
          isWebhook: isWebhook ?? false,
        },
      });
      if (!hook) {
        throw new Error(
          `The hook was not made: the log of its run has a ${event?.eventType} event instead.`,
        );
      }
      return metadata === undefined ? hook : { ...hook, metadata };
    },
  };
}
