/**
 * Makes spans around `start` and `resumeHook`, with the names and attributes of the SDK's own
 * spans, if the app has set up OpenTelemetry.
 *
 * This loads no package: `@opentelemetry/api` keeps its registrations under a symbol of its major
 * version, by which all its copies in a process find them. So an app without telemetry pays only
 * for one look at a global, and no bundler sees an import of a package that may be missing.
 */
import type { Hook } from '../../index';

/** The symbol under which `@opentelemetry/api` 1.x keeps its registrations. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');
/** The key of a context's span. */
const SPAN_KEY = Symbol.for('OpenTelemetry Context Key SPAN');
/** The name of the SDK's tracer, so that filters by tracer include our spans. */
const TRACER = 'workflow';
const STATUS_OK = 1;
const STATUS_ERROR = 2;

/** The W3C headers of a trace, as the SDK keeps them with a run. */
export type TraceCarrier = Record<string, string>;

type Attributes = Record<string, string | number | boolean>;

interface Context {
  getValue(key: symbol): unknown;
}

interface SpanContext {
  traceId: string;
  spanId: string;
}

interface Span {
  setAttributes(attributes: Attributes): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  addLink?(link: { context: SpanContext }): unknown;
  spanContext(): SpanContext;
  end(): void;
}

interface Tracer {
  startActiveSpan<T>(name: string, options: object, work: (span: Span) => T): T;
}

interface Registered {
  trace?: { getTracer(name: string): Tracer };
  context?: { active(): Context };
  propagation?: {
    inject(context: Context, carrier: TraceCarrier, setter: object): void;
    extract(context: Context, carrier: TraceCarrier, getter: object): Context;
  };
}

function registered(): Registered | undefined {
  return (globalThis as { [REGISTERED]?: Registered })[REGISTERED];
}

/** Does the work within a span, if OpenTelemetry is set up; settles as the work does. */
function traced<T>(name: string, work: (span?: Span) => Promise<T>): Promise<T> {
  let outcome: Promise<T> | undefined;
  const within = (span: Span) => {
    outcome = ended(span, work);
    return outcome;
  };
  quietly(() => registered()?.trace?.getTracer(TRACER).startActiveSpan(name, {}, within));
  return outcome ?? work();
}

/** Does the work, writes its outcome to the span, and ends the span. */
async function ended<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    const result = await work(span);
    quietly(() => span.setStatus({ code: STATUS_OK }));
    return result;
  } catch (error) {
    // No message of ours holds a token or a payload.
    const message = (error as { message?: string } | undefined)?.message;
    quietly(() => span.setStatus({ code: STATUS_ERROR, message }));
    throw error;
  } finally {
    quietly(() => span.end());
  }
}

/**
 * Runs code of the telemetry and ignores its errors: a committed resume must not reject because of
 * them.
 */
function quietly(tell: () => unknown): void {
  try {
    tell();
  } catch {
    // There is no one to report the error to.
  }
}

/** The facts that a start adds to its span. */
export interface StartSpan {
  started(runId: string, deploymentId: string): void;
}

/** Starts a run of a workflow within a span like the SDK's. */
export function tracedStart<T>(
  workflowName: string,
  argumentCount: number,
  work: (span?: StartSpan) => Promise<T>,
): Promise<T> {
  return traced(`workflow.start ${workflowName}`, (span) => {
    if (!span) return work();
    const attributes = {
      'workflow.name': workflowName,
      'workflow.operation': 'start',
      'workflow.arguments.count': argumentCount,
    };
    quietly(() => span.setAttributes(attributes));
    return work({
      started(runId, deploymentId) {
        const known = {
          'workflow.run.id': runId,
          'deployment.id': deploymentId,
          'workflow.run.status': 'pending',
        };
        quietly(() => span.setAttributes(known));
      },
    });
  });
}

/** The run of a resumed hook. */
export interface ResumedRun {
  workflowName?: string;
  executionContext?: Record<string, unknown> | null;
}

/** The facts that a resume adds to its span. */
export interface ResumeSpan {
  found(hook: Hook): void;
  committed(run: ResumedRun): void;
}

/**
 * Resumes a hook within a span like the SDK's. The token is a secret, so the span has it only with
 * `showsToken`, in the SDK's attribute.
 */
export function tracedResume<T>(
  token: () => string,
  showsToken: () => boolean,
  work: (span?: ResumeSpan) => Promise<T>,
): Promise<T> {
  const tokenAttribute = (value: string): Attributes =>
    showsToken() ? { 'workflow.hook.token': value } : {};
  return traced('hook.resume', (span) => {
    if (!span) return work();
    const resumed = work({
      found(hook) {
        quietly(() =>
          span.setAttributes({
            ...tokenAttribute(hook.token),
            'workflow.hook.id': hook.hookId,
            'workflow.run.id': hook.runId,
          }),
        );
      },
      committed({ workflowName, executionContext }) {
        quietly(() => {
          if (workflowName !== undefined) span.setAttributes({ 'workflow.name': workflowName });
          linkTo(span, executionContext?.traceCarrier as TraceCarrier | undefined);
        });
      },
    });
    return resumed.catch((error) => {
      // The SDK sets this for every failure, even if the hook was found.
      quietly(() =>
        span.setAttributes({ ...tokenAttribute(token()), 'workflow.hook.found': false }),
      );
      throw error;
    });
  });
}

/** The current trace, for the new run; empty when there is none. */
export function traceCarrier(): TraceCarrier {
  const { context, propagation } = registered() ?? {};
  const carrier: TraceCarrier = {};
  if (context && propagation) {
    quietly(() => propagation.inject(context.active(), carrier, SETTER));
  }
  return carrier;
}

/** Links a span to the trace of a run. */
function linkTo(span: Span, carrier: TraceCarrier | null | undefined): void {
  const { context, propagation } = registered() ?? {};
  if (!carrier || !context || !propagation) return;
  const extracted = propagation.extract(context.active(), carrier, GETTER);
  const linked = (extracted.getValue(SPAN_KEY) as Span | undefined)?.spanContext();
  // A carrier without a trace leaves the context unchanged, and the context holds this very span.
  if (linked && linked.spanId !== span.spanContext().spanId) span.addLink?.({ context: linked });
}

const SETTER = {
  set(carrier: TraceCarrier, key: string, value: string): void {
    carrier[key] = value;
  },
};

const GETTER = {
  keys: (carrier: TraceCarrier): string[] => Object.keys(carrier),
  get: (carrier: TraceCarrier, key: string): string | undefined => carrier[key],
};
