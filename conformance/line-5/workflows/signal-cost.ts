/** One step after the other, each with the signal of the same controller. */
export async function signalCostWorkflow({
  count,
  withSignal,
}: {
  count: number;
  withSignal: boolean;
}) {
  'use workflow';

  const controller = new AbortController();
  for (let index = 0; index < count; index += 1) {
    await step(index, withSignal ? controller.signal : undefined);
  }
  return 'done';
}

async function step(index: number, _signal: AbortSignal | undefined) {
  'use step';

  return index;
}
