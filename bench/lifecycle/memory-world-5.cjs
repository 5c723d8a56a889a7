/**
 * The same limit on line 5 of the SDK: see `memory-world.cjs`. A delivery replays, runs its steps and
 * replays again, so what a World does for the workflow is different.
 */
const { monotonicFactory } = require('ulid');

const ulid = monotonicFactory();

/** The effect of an event on its run, step or hook, and its answer. */
const EFFECTS = {
  run_created: ({ run }) => ({ run }),
  run_started: ({ run }) => ({
    run: Object.assign(run, { status: 'running', startedAt: new Date() }),
  }),
  run_completed: ({ run }, { output }) => ({
    run: Object.assign(run, { status: 'completed', output, completedAt: new Date() }),
  }),
  step_started: ({ run, steps }, { stepName, input, ownerMessageId }, stepId) => {
    const now = new Date();
    const step = { runId: run.runId, stepId, stepName, input, ownerMessageId, attempt: 1 };
    Object.assign(step, { status: 'running', createdAt: now, updatedAt: now, startedAt: now });
    steps.set(stepId, step);
    return { step, stepCreated: true };
  },
  step_completed: ({ steps }, { result }, id) => {
    const step = steps.get(id);
    return { step: Object.assign(step, { status: 'completed', output: result }) };
  },
};

exports.createWorld = () => {
  globalThis.memoryWorld5 ??= createOne();
  return globalThis.memoryWorld5;
};

function createOne() {
  const runs = new Map();
  const hooks = new Map();
  const handlers = new Map();

  function createEvent(givenId, request, { sinceCursor } = {}) {
    const { eventType, correlationId, specVersion, eventData = {} } = request;
    const runId = givenId ?? `wrun_${ulid()}`;
    const isNew = !runs.has(runId);
    if (isNew) runs.set(runId, newRun(runId, specVersion, eventData));
    const state = runs.get(runId);
    // A start and the first delivery both create the run; a later delivery finds it running.
    if (eventType === 'run_created' && !isNew) return { run: state.run };
    if (eventType === 'run_started' && state.run.startedAt) {
      return { run: state.run, ...after(state, 0) };
    }
    const append = (event) => {
      const position = String(state.events.length + 1).padStart(26, '0');
      const stored = { ...event, runId, eventId: `evnt_${position}`, createdAt: new Date() };
      state.events.push(stored);
      return stored;
    };
    if (eventType === 'run_started' && isNew) append({ ...request, eventType: 'run_created' });
    if (eventType === 'step_started') append({ ...request, eventType: 'step_created' });
    const event = append(request);
    const since = sinceCursor === undefined ? {} : after(state, Number(sinceCursor));
    if (eventType === 'hook_created') {
      const hook = { runId, hookId: correlationId, createdAt: event.createdAt, specVersion };
      Object.assign(hook, eventData, { ownerId: 'o', projectId: 'p', environment: 'bench' });
      hooks.set(eventData.token, hook);
      return { event, hook, ...since };
    }
    const effect = EFFECTS[eventType]?.(state, eventData, correlationId) ?? {};
    const log = eventType === 'run_started' ? after(state, 0) : since;
    return { event, ...effect, ...log };
  }

  function newRun(runId, specVersion, eventData) {
    const now = new Date();
    const run = { runId, status: 'pending', specVersion, createdAt: now, updatedAt: now };
    Object.assign(run, eventData, { attributes: {} });
    return { run, steps: new Map(), events: [] };
  }

  /** The events after a position; the cursor is the position of the last. */
  function after({ events }, position) {
    return { events: events.slice(position), cursor: String(events.length), hasMore: false };
  }

  async function deliver(queueName, message, messageId) {
    const prefix = [...handlers.keys()].find((known) => queueName.startsWith(known));
    await handlers.get(prefix)(message, { attempt: 1, queueName, messageId });
  }

  return {
    specVersion: 7,
    runs: { get: async (runId) => runs.get(runId).run },
    steps: { get: async (runId, stepId) => runs.get(runId).steps.get(stepId) },
    events: {
      create: async (runId, request, params) => createEvent(runId, request, params),
      async list({ runId, pagination }) {
        const { events, ...page } = after(runs.get(runId), Number(pagination?.cursor ?? 0));
        return { data: events, ...page };
      },
    },
    hooks: { getByToken: async (token) => ({ ...hooks.get(token) }) },
    streams: {},
    getDeploymentId: async () => 'dpl_memory',
    async queue(queueName, message) {
      const messageId = `msg_${ulid()}`;
      setImmediate(() => deliver(queueName, message, messageId).catch(console.error));
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
