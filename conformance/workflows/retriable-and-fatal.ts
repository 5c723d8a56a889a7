import { FatalError, getStepMetadata, RetryableError } from 'workflow';

export async function retryableAndFatalErrorWorkflow() {
  'use workflow';

  const retryableResult = await succeedsSecondTime();
  try {
    await failsForGood();
    return { retryableResult, gotFatalError: false };
  } catch (error) {
    return { retryableResult, gotFatalError: FatalError.is(error) };
  }
}

async function succeedsSecondTime() {
  'use step';

  const { attempt, stepStartedAt } = getStepMetadata();
  if (attempt === 1) throw new RetryableError('come back later', { retryAfter: '2s' });
  return { attempt, stepStartedAt, duration: Date.now() - stepStartedAt.getTime() };
}

async function failsForGood() {
  'use step';

  throw new FatalError('never again');
}
