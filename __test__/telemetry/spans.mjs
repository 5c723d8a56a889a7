// Makes the same calls through the SDK and through this package, in one process, with the real
// OpenTelemetry SDK. Prints the spans as JSON: [{ via, call, ...span }].
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import * as hookline from 'hookline';
import * as sdk from 'workflow/api';
import { getWorld } from 'workflow/runtime';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
if (process.env.TRACED !== 'no') {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
}

const world = getWorld();
const workflow = { workflowId: 'workflow//./a//traced' };
const apis = { sdk, hookline };
const spans = [];

/** Makes a call within a span of the app; records the spans of the call. */
async function note(via, call, work) {
  exporter.reset();
  const app = provider.getTracer('app');
  const outcome = await app.startActiveSpan(`app ${via}`, async (parent) => {
    const outcome = await work().then(
      (value) => ({ value }),
      (error) => ({ error: error.name }),
    );
    parent.end();
    return { ...outcome, parent: parent.spanContext() };
  });
  for (const span of exporter.getFinishedSpans()) {
    if (span.instrumentationScope.name !== 'workflow') continue;
    spans.push({
      via,
      call,
      name: span.name,
      kind: span.kind,
      attributes: span.attributes,
      status: span.status,
      isChild: span.parentSpanContext?.spanId === outcome.parent.spanId,
      traceId: span.spanContext().traceId,
      links: span.links.map((link) => link.context.traceId),
    });
  }
  return outcome.value;
}

let hooks = 0;
async function newHook(runId, token, isWebhook = false) {
  hooks += 1;
  await world.events.create(runId, {
    eventType: 'hook_created',
    specVersion: 3,
    correlationId: `hook_${hooks}`,
    eventData: { token, isWebhook },
  });
}

const carriers = {};
for (const [via, api] of Object.entries(apis)) {
  const run = await note(via, 'start', () => api.start(workflow, ['a', 'b']));
  carriers[via] = (await world.runs.get(run.runId)).executionContext.traceCarrier;
  await newHook(run.runId, `secret of ${via}`);
  await newHook(run.runId, `webhook of ${via}`, true);
  await note(via, 'resume', () => api.resumeHook(`secret of ${via}`, 1));
  const hook = await api.getHookByToken(`secret of ${via}`);
  await note(via, 'resume by hook', () => api.resumeHook(hook, 2));
  await note(via, 'unknown', () => api.resumeHook(`unknown secret of ${via}`, 1));
  await note(via, 'webhook', () =>
    api.resumeWebhook(`webhook of ${via}`, new Request('http://app/', { method: 'POST' })),
  );
  await note(via, 'bad payload', () => api.resumeHook(`secret of ${via}`, () => 1));
}

console.log(JSON.stringify({ spans, carriers }));
await world.close?.();
