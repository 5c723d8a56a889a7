/** The names of line 4's queues: one for the replays of each workflow, and one for each step. */
import { isLoaded } from '../loaded-steps';

const STEP_QUEUE = /^__(?:[a-z][a-z0-9]*_)?wkf_step_/;
const BARE_STEP_PREFIX = '__wkf_step_';

/** The prefixes of the two kinds, in the SDK's namespace. */
export function prefixes(namespace: string | undefined): string[] {
  const start = namespace ? `__${namespace}_wkf` : '__wkf';
  return [`${start}_workflow_`, `${start}_step_`];
}

/** Whether the messages of a queue execute a step. */
export function isStepQueue(queueName: string): boolean {
  return STEP_QUEUE.test(queueName);
}

/** The queue of every step, also of a handler with other names than the SDK's. */
const ANY_STEP_QUEUE = /_step_(.+)$/s;

/**
 * Whether the handler of a queue can run its messages in this process: not if the queue is of a step
 * that is not loaded here.
 */
export function isLoadedHere(queueName: string): boolean {
  const stepId = ANY_STEP_QUEUE.exec(queueName)?.[1];
  return stepId === undefined || isLoaded(stepId);
}

/** The step of a step queue. */
export function stepNameOf(queueName: string): string {
  return queueName.replace(STEP_QUEUE, '');
}

/**
 * The queue of a message. SDK 4.8.9 forgets the namespace when it enqueues a step, but listens on
 * the queue that has it.
 */
export function queueFor(queueName: string, namespace: string | undefined): string {
  if (!namespace || !queueName.startsWith(BARE_STEP_PREFIX)) return queueName;
  return `__${namespace}_wkf_step_${queueName.slice(BARE_STEP_PREFIX.length)}`;
}
