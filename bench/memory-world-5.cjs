/**
 * The limit on line 5 of the SDK, of lifecycles and of an agent on eve: the simplest World that runs them,
 * maps in memory and direct calls. What they cost with it is the work of the SDK and of eve.
 *
 * It has no dependencies, because it is installed into an app as a package of its own.
 */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** A message whose time is further away than this is not delivered: no bench runs for so long. */
const DELAY_SECONDS_MAX = 60;
let lastNumber = 0;

/** A ULID: 10 digits of time, 16 of a number that grows. */
function ulid() {
  const digits = (number, length) =>
    Array.from(
      { length },
      (_, place) => DIGITS[Math.floor(number / 32 ** (length - 1 - place)) % 32],
    );
  lastNumber += 1;
  return [...digits(Date.now(), 10), ...digits(lastNumber, 16)].join('');
}

/** The effect of an event on its run, step, hook or wait, and its answer. */
const EFFECTS = {
  run_created: ({ run }) => ({ run }),
  run_started: ({ run }) => changed(run, 'run', { status: 'running', startedAt: new Date() }),
  run_completed: ({ run }, { output }) => changed(run, 'run', { status: 'completed', output }),
  run_failed: ({ run }, { error }) => changed(run, 'run', { status: 'failed', error }),
  run_cancelled: ({ run }) => changed(run, 'run', { status: 'cancelled' }),
  attr_set: ({ run }, { changes }) => {
    for (const { key, value } of changes) run.attributes[key] = value;
    return { run };
  },
  step_created: created,
  // The lazy start of a step creates it.
  step_started: (state, data, stepId) => {
    const stepCreated = !state.steps.has(stepId);
    const { step } = stepCreated ? created(state, data, stepId) : { step: state.steps.get(stepId) };
    const changes = { status: 'running', attempt: step.attempt + 1, startedAt: new Date() };
    return { ...changed(step, 'step', changes), stepCreated };
  },
  step_completed: ({ steps }, { result }, id) =>
    changed(steps.get(id), 'step', { status: 'completed', output: result }),
  step_failed: ({ steps }, { error }, id) =>
    changed(steps.get(id), 'step', { status: 'failed', error }),
};

function created({ run, steps }, { stepName, input, ownerMessageId }, stepId) {
  const now = new Date();
  const step = { runId: run.runId, stepId, stepName, input, ownerMessageId, attempt: 0 };
  steps.set(stepId, Object.assign(step, { status: 'pending', createdAt: now, updatedAt: now }));
  return { step };
}

function changed(entity, name, changes) {
  return { [name]: Object.assign(entity, changes, { updatedAt: new Date() }) };
}

exports.createWorld = () => {
  globalThis.eveMemoryWorld ??= createOne();
  return globalThis.eveMemoryWorld;
};

function createOne() {
  const runs = new Map();
  const hooks = new Map();
  const streams = new Map();
  const routes = new Map();
  const handlers = new Map();

  function createEvent(givenId, request, { sinceCursor } = {}) {
    const { eventType, correlationId, specVersion, eventData = {} } = request;
    const runId = givenId ?? `wrun_${ulid()}`;
    const isNew = !runs.has(runId);
    if (isNew) runs.set(runId, newRun(runId, specVersion, eventData));
    const state = runs.get(runId);
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
    if (eventType === 'step_started' && !state.steps.has(correlationId)) {
      append({ ...request, eventType: 'step_created' });
    }
    const event = append(request);
    const since = sinceCursor === undefined ? {} : after(state, Number(sinceCursor));
    if (eventType === 'hook_created') {
      const hook = { runId, hookId: correlationId, createdAt: event.createdAt, specVersion };
      Object.assign(hook, eventData, { ownerId: 'o', projectId: 'p', environment: 'bench' });
      hooks.set(eventData.token, hook);
      return { event, hook, ...since };
    }
    if (eventType === 'hook_disposed') {
      for (const [token, { hookId }] of hooks) if (hookId === correlationId) hooks.delete(token);
    }
    const effect = EFFECTS[eventType]?.(state, eventData, correlationId) ?? {};
    const log = eventType === 'run_started' ? after(state, 0) : since;
    return { event, ...effect, ...log };
  }

  function newRun(runId, specVersion, eventData) {
    const now = new Date();
    const run = { runId, status: 'pending', specVersion, createdAt: now, updatedAt: now };
    Object.assign(run, eventData, { attributes: { ...eventData.attributes } });
    return { run, steps: new Map(), events: [], delivering: Promise.resolve() };
  }

  /** The events after a position; the cursor is the position of the last. */
  function after({ events }, position) {
    return { events: events.slice(position), cursor: String(events.length), hasMore: false };
  }

  const prefixed = (map, queueName) =>
    map.get([...map.keys()].find((prefix) => queueName.startsWith(prefix)));

  async function deliver(queueName, message, meta) {
    if (!prefixed(handlers, queueName)) {
      // Its route makes the handler at its first request.
      const url = 'http://127.0.0.1/.well-known/workflow/v1/flow';
      await prefixed(routes, queueName)(new Request(url, { method: 'POST', body: '{}' }));
    }
    const answer = await prefixed(handlers, queueName)(message, { ...meta, queueName });
    if (answer?.timeoutSeconds === undefined) return;
    later(answer.timeoutSeconds, () =>
      enqueue(queueName, message, { ...meta, attempt: meta.attempt + 1 }),
    );
  }

  function later(seconds, work) {
    if (seconds <= DELAY_SECONDS_MAX) setTimeout(work, seconds * 1000).unref();
  }

  /** One delivery of a run at a time. */
  function enqueue(queueName, message, meta) {
    setImmediate(() => {
      const state = runs.get(message.runId) ?? { delivering: Promise.resolve() };
      const delivered = () => deliver(queueName, message, meta).catch(console.error);
      state.delivering = state.delivering.then(delivered);
    });
  }

  function stream(name) {
    if (!streams.has(name)) streams.set(name, { chunks: [], isClosed: false, wake: new Set() });
    return streams.get(name);
  }

  function wake(written) {
    for (const reader of written.wake) reader();
    written.wake.clear();
  }

  function write(name, chunks) {
    const written = stream(name);
    for (const chunk of chunks) {
      written.chunks.push(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk);
    }
    wake(written);
  }

  function read(name, startIndex = 0) {
    const source = stream(name);
    let next = startIndex < 0 ? Math.max(0, source.chunks.length + startIndex) : startIndex;
    let isCancelled = false;
    return new ReadableStream(
      {
        async pull(controller) {
          while (next >= source.chunks.length && !source.isClosed && !isCancelled) {
            await new Promise((resolve) => source.wake.add(resolve));
          }
          if (isCancelled) return;
          if (next < source.chunks.length) controller.enqueue(source.chunks[next++]);
          else controller.close();
        },
        cancel() {
          isCancelled = true;
          wake(source);
        },
      },
      { highWaterMark: 0 },
    );
  }

  function missing(name) {
    return Object.assign(new Error('not found'), { name, status: 404 });
  }

  return {
    specVersion: 7,
    runs: {
      async get(runId) {
        if (!runs.has(runId)) throw missing('WorkflowRunNotFoundError');
        return { ...runs.get(runId).run };
      },
    },
    steps: { get: async (runId, stepId) => runs.get(runId).steps.get(stepId) },
    events: {
      create: async (runId, request, params) => createEvent(runId, request, params),
      async list({ runId, pagination }) {
        const { events, ...page } = after(runs.get(runId), Number(pagination?.cursor ?? 0));
        return { data: events, ...page };
      },
    },
    hooks: {
      async getByToken(token) {
        if (!hooks.has(token)) throw missing('HookNotFoundError');
        return { ...hooks.get(token) };
      },
    },
    streams: {
      write: async (_runId, name, chunk) => write(name, [chunk]),
      writeMulti: async (_runId, name, chunks) => write(name, chunks),
      async close(_runId, name) {
        stream(name).isClosed = true;
        wake(stream(name));
      },
      get: async (_runId, name, startIndex) => read(name, startIndex),
      async getInfo(_runId, name) {
        const { chunks, isClosed } = stream(name);
        return { tailIndex: chunks.length - 1, done: isClosed };
      },
    },
    getDeploymentId: async () => 'dpl_memory',
    async queue(queueName, message, { delaySeconds } = {}) {
      const meta = { attempt: 1, messageId: `msg_${ulid()}` };
      if (delaySeconds) later(delaySeconds, () => enqueue(queueName, message, meta));
      else enqueue(queueName, message, meta);
      return { messageId: meta.messageId };
    },
    registerHandler(prefix, route) {
      routes.set(prefix, route);
    },
    createQueueHandler(prefix, handler) {
      handlers.set(prefix, handler);
      return async () => new Response(null, { status: 200 });
    },
    async start() {},
    async close() {},
  };
}
