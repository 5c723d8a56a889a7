/** The global set-up for Jest: it compiles the workflows. */
import { buildForJest, PROVIDED, type Provided } from './jest';

module.exports = async (
  _global: unknown,
  { globals }: { globals: Record<string, unknown> },
): Promise<void> => {
  await buildForJest(globals[PROVIDED] as Provided);
};
