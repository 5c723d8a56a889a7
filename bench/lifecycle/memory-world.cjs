/**
 * The limit of the lifecycle benchmark: the simplest World that runs the benchmark's workflow. Maps
 * in memory, messages handed straight to the handlers. It checks nothing, keeps nothing, and is no
 * use for anything else.
 */
const { monotonicFactory } = require('ulid');

const ulid = monotonicFactory();

/** What an event does to its run, step or hook; the other events of the workflow change nothing. */
const EFFECTS = {
  run_started: ({ run }) => ({
    run: Object.assign(run, { status: 'running', startedAt: new Date() }),
  }),
  run_completed: ({ run }, { output }) => ({
    run: Object.assign(run, { status: 'completed', output, completedAt: new Date() }),
  }),
  step_created: ({ run, steps }, { stepName, input }, id) => {
    const step = { runId: run.runId, stepId: id, stepName, input, status: 'pending', attempt: 0 };
    steps.set(id, Object.assign(step, { createdAt: new Date(), updatedAt: new Date() }));
    return { step };
  },
  step_started: ({ steps }, _data, id) => {
    const step = steps.get(id);
    Object.assign(step, { status: 'running', attempt: step.attempt + 1, startedAt: new Date() });
    return { step };
  },
  step_completed: ({ steps }, { result }, id) => {
    const step = steps.get(id);
    return { step: Object.assign(step, { status: 'completed', output: result }) };
  },
};

exports.createWorld = () => {
  globalThis.memoryWorld ??= createOne();
  return globalThis.memoryWorld;
};

function createOne() {
  const runs = new Map();
  const hooks = new Map();
  const handlers = new Map();

  function createEvent(givenId, request) {
    const { eventType, correlationId, specVersion, eventData = {} } = request;
    const runId = givenId ?? `wrun_${ulid()}`;
    const now = new Date();
    if (eventType === 'run_created') {
      const run = {
        runId,
        status: 'pending',
        specVersion,
        createdAt: now,
        updatedAt: now,
        ...eventData,
      };
      runs.set(runId, { run, steps: new Map(), events: [] });
    }
    const state = runs.get(runId);
    const log = () => ({ events: [...state.events], cursor: 'end' });
    // A replay's own start; the ids that it draws depend on the run's first one.
    if (eventType === 'run_started' && state.run.startedAt) return { run: state.run, ...log() };
    const event = { ...request, runId, eventId: `evnt_${ulid()}`, createdAt: now };
    state.events.push(event);
    if (eventType === 'hook_created') {
      const hook = { runId, hookId: correlationId, createdAt: now, specVersion, ...eventData };
      Object.assign(hook, { ownerId: 'owner', projectId: 'project', environment: 'bench' });
      hooks.set(eventData.token, hook);
      return { event, hook };
    }
    if (eventType === 'run_created') return { event, run: state.run };
    const effect = EFFECTS[eventType]?.(state, eventData, correlationId) ?? {};
    return { event, ...effect, ...(eventType === 'run_started' ? log() : {}) };
  }

  /** Replays under way, by run: `true` when another is wanted behind it. */
  const replays = new Map();

  async function deliver(queueName, message, messageId) {
    const prefix = [...handlers.keys()].find((known) => queueName.startsWith(known));
    const result = await handlers.get(prefix)(message, { attempt: 1, queueName, messageId });
    const seconds = result?.timeoutSeconds;
    if (typeof seconds === 'number')
      setTimeout(enqueue, seconds * 1000, queueName, message, messageId);
  }

  /** One replay of a run at a time, because two cost more than one after the other. */
  async function replay(queueName, message, messageId) {
    const { runId } = message;
    if (replays.has(runId)) return replays.set(runId, true);
    do {
      replays.set(runId, false);
      await deliver(queueName, message, messageId);
    } while (replays.get(runId));
    replays.delete(runId);
  }

  function enqueue(queueName, message, messageId) {
    const hand = queueName.startsWith('__wkf_workflow_') ? replay : deliver;
    hand(queueName, message, messageId).catch((error) => console.error(error));
  }

  return {
    specVersion: 3,
    runs: { get: async (runId) => runs.get(runId).run },
    steps: { get: async (runId, stepId) => runs.get(runId).steps.get(stepId) },
    events: {
      create: async (runId, request) => createEvent(runId, request),
      list: async ({ runId }) => ({
        data: [...runs.get(runId).events],
        cursor: 'end',
        hasMore: false,
      }),
    },
    hooks: { getByToken: async (token) => ({ ...hooks.get(token) }) },
    getDeploymentId: async () => 'dpl_memory',
    async queue(queueName, message) {
      const messageId = `msg_${ulid()}`;
      setImmediate(enqueue, queueName, message, messageId);
      return { messageId };
    },
    createQueueHandler(prefix, handler) {
      handlers.set(prefix, handler);
      return async () => new Response(null, { status: 404 });
    },
    async start() {},
    async close() {},
  };
}
