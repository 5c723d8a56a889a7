/** An empty database in memory. It answers the reads of a World while that has no database. */
import { randomUUID } from 'node:crypto';
import { loadBinding, type NativeWorld, settled } from '../native/binding';
import { refuseUnsupportedSdk } from '../setup/target-world';
import type { NativeConfig } from './config';
import { inNobodysContext } from './nobody';

export interface EmptyDatabase {
  /** Opens it at the first call. The next call tries again if that fails. */
  open(): Promise<NativeWorld>;
  /** Leaves it to the reads that still hold it. */
  forget(): void;
  close(): void;
}

export function emptyDatabase(config: () => NativeConfig): EmptyDatabase {
  let opening: Promise<NativeWorld> | undefined;

  async function openOne(): Promise<NativeWorld> {
    if (config().role !== 'reader') refuseUnsupportedSdk();
    const { NativeWorld: World } = loadBinding();
    const url = `:memory:nothing-${randomUUID()}`;
    const native = new World(JSON.stringify({ ...config(), url, role: 'producer' }));
    await settled(native.open());
    return native;
  }

  return {
    async open() {
      opening ??= inNobodysContext(openOne);
      const attempt = opening;
      try {
        return await attempt;
      } catch (error) {
        if (opening === attempt) opening = undefined;
        throw error;
      }
    },
    forget() {
      opening = undefined;
    },
    close() {
      void opening?.then((empty) => empty.close()).catch(() => undefined);
    },
  };
}
