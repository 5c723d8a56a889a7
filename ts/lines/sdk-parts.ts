/** What the serializers of all lines do in one way with the functions of their SDK. */
import type { CryptoKey, World } from '../../index';

/** The functions of a bundled SDK that are the same in every line. */
interface CommonSdk<Capabilities> {
  getRunCapabilities(coreVersion: string | undefined): Capabilities;
  inWorld<T>(world: World, work: () => T): T;
  maybeDecrypt(payload: Uint8Array, key: never): Promise<unknown>;
  hydrateStepArguments(value: never, runId: string, key: never): Promise<unknown>;
  hydrateWorkflowReturnValue(value: never, runId: string, key: never): Promise<unknown>;
}

/** Comparing versions costs more than the rest of a small payload, and there are few of them. */
const KNOWN_VERSIONS_MAX = 100;

export function commonParts<Capabilities>(
  load: (currentWorld?: () => World) => CommonSdk<Capabilities>,
) {
  const knownCapabilities = new Map<unknown, Capabilities>();

  return {
    capabilitiesOf(coreVersion: unknown): Capabilities {
      const known = knownCapabilities.get(coreVersion);
      if (known) return known;
      const version = typeof coreVersion === 'string' ? coreVersion : undefined;
      const capabilities = load().getRunCapabilities(version);
      if (knownCapabilities.size < KNOWN_VERSIONS_MAX) knownCapabilities.set(version, capabilities);
      return capabilities;
    },

    async decrypted(payload: Uint8Array, key: CryptoKey): Promise<Uint8Array> {
      return load().maybeDecrypt(payload, key as never) as Promise<Uint8Array>;
    },

    async hydrateMetadata(
      metadata: unknown,
      runId: string,
      key: CryptoKey | undefined,
      currentWorld: () => World,
    ): Promise<unknown> {
      return load(currentWorld).hydrateStepArguments(metadata as never, runId, key as never);
    },

    async hydrateReturnValue(
      output: unknown,
      runId: string,
      key: CryptoKey | undefined,
      world: World,
    ): Promise<unknown> {
      const sdk = load();
      return sdk.inWorld(world, () =>
        sdk.hydrateWorkflowReturnValue(output as never, runId, key as never),
      );
    },
  };
}
