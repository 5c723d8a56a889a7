/**
 * What a World stores: runs, steps, hooks, waits and events, and how they are read and written.
 * `index.d.ts` exports all of it; nothing needs to import this file.
 */

/** A stored payload: the SDK's bytes, or for spec version 1 a JSON value. */
export type SerializedData = unknown;

/** How to read. */
export interface ReadOptions {
  /** Whether a read returns payloads: `'all'` (default), or `'none'`, which leaves them out. */
  resolveData?: 'none' | 'all';
}

/** How to wait for the end of a run. */
export interface WaitOptions extends ReadOptions {
  /** Milliseconds to wait at most. Default: no limit. */
  timeoutMs?: number;
}

/** Selects a page of a list. */
export interface PageRequest {
  /**
   * `limit`: how many entries at most, 1 to 1000, by default 100. `cursor`: that of the page before.
   * `sortOrder`: by time of creation; each list says its default.
   */
  pagination?: { limit?: number; cursor?: string; sortOrder?: 'asc' | 'desc' };
}

/** One page of a list. */
export interface Page<T> {
  /** The entries. */
  data: T[];
  /** Where the next page begins. */
  cursor: string | null;
  /** Whether the list goes on after this page. */
  hasMore: boolean;
}

/** Filters of `runs.list`. */
export interface ListRunsOptions extends ReadOptions, PageRequest {
  /** Only runs of the workflow with this stored name. */
  workflowName?: string;
  /** A status, or several of which a run may have any; an empty list means none. */
  status?: RunStatus | RunStatus[];
}

/** Filters of `steps.list`. */
export interface ListStepsOptions extends ReadOptions, PageRequest {
  /** The run whose steps are listed. */
  runId: string;
}

/** Options of `queue`. */
export interface QueueMessageOptions {
  /** The release that is to get the message, unless the message has a run, whose release counts. */
  deploymentId?: string;
  /**
   * While a message with this key is queued, enqueueing another one with it returns that message.
   */
  idempotencyKey?: string;
  /** Headers that a delivery by HTTP carries. */
  headers?: Record<string, string>;
  /** Seconds before the first delivery. */
  delaySeconds?: number;
  /** The spec version of the run that the message is for. */
  specVersion?: number;
}

/** Options of `events.create`. */
export interface CreateEventOptions extends ReadOptions {
  /** Accepted from the SDK, and not used. */
  v1Compat?: boolean;
  /** Accepted from the SDK, and not used. */
  requestId?: string;
  /** Accepted from the SDK, and not used. */
  stateUpdatedAt?: number;
  /** Accepted from the SDK, and not used: the event has the time of its commit. */
  occurredAt?: Date;
  /** How many events of the log the caller holds. The answer has those that came between. */
  eventCount?: number;
  /** The cursor of the log as the caller knows it. The answer has everything after it. */
  sinceCursor?: string;
  /** Whether `run_started` is answered without the log. */
  skipPreload?: boolean;
  /** Names a resume, on `hook_received`. A resume with the same name happens once. */
  resumeId?: string;
  /** A digest of the payload of the resume. */
  resumePayloadDigest?: string;
}

/** An event of a batch. The other fields are accepted and not used. */
export interface BatchedEvent {
  event: Omit<EventRequest, 'eventType'> & { eventType: string };
  occurredAt?: Date;
  computeInstanceId?: string;
}

/** The outcomes of a batch, one for each event, in their order. */
export interface EventBatchResult {
  results: (
    | {
        status: 200;
        error?: undefined;
        message?: undefined;
        event: any;
        step?: any;
        wait?: any;
        run?: any;
      }
    | {
        status: number;
        error: string;
        message: string;
        event?: undefined;
        step?: undefined;
        wait?: undefined;
        run?: undefined;
      }
  )[];
}

/** The status of a run. */
export type RunStatus = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';

/** An error as events and entities store it. */
export interface StructuredError {
  /** What went wrong. */
  message: string;
  /** Where it was thrown. */
  stack?: string;
  /** The SDK's code of the kind of error. */
  code?: string;
}

/** The fields of a run in every status. */
export interface RunBase {
  /** Its id, `wrun_` and a ULID. */
  runId: string;
  /** The release that the run was started for; `dpl_hookline` without one. */
  deploymentId: string;
  /** The stored name of its workflow, such as `workflow//./workflows/approval//approval`. */
  workflowName: string;
  /** The version of the event contract that its SDK speaks. */
  specVersion?: number;
  /** What the SDK notes of its own: its version, and the trace that started the run. */
  executionContext?: Record<string, any>;
  /** The arguments. */
  input?: SerializedData;
  /** The attributes of the run; a run of SDK 4.x has no such key. */
  attributes: Record<string, string>;
  /** The SDK's public key of the run, in base64. */
  encryptionPublicKey?: string;
  /** The SDK's code of the run's error, from spec version 6 on. */
  errorCode?: string;
  /** When its values were dropped, because it was started with `experimental_retention: 0`. */
  expiredAt?: Date;
  /** When it began to execute. */
  startedAt?: Date;
  /** When it was created. */
  createdAt: Date;
  /** When it changed last. */
  updatedAt: Date;
}

/** One execution of a workflow. */
export type WorkflowRun =
  | (RunBase & {
      status: 'pending' | 'running';
      output?: undefined;
      error?: undefined;
      completedAt?: undefined;
    })
  | (RunBase & { status: 'cancelled'; output?: undefined; error?: undefined; completedAt: Date })
  | (RunBase & {
      status: 'completed';
      output: SerializedData;
      error?: undefined;
      completedAt: Date;
    })
  | (RunBase & {
      status: 'failed';
      output?: undefined;
      /** A {@link StructuredError}; of SDK 5.x the serialized value that was thrown. */
      error: any;
      completedAt: Date;
    });

/** A run read with `resolveData: 'none'`. */
export type RunWithoutData = Omit<WorkflowRun, 'input' | 'output'> & {
  input: undefined;
  output: undefined;
};

/** A memoised unit of work of a run. */
export interface Step {
  /** The run that it belongs to. */
  runId: string;
  /** Its id within the run: the correlation id of its events. */
  stepId: string;
  /** The stored name of its function. */
  stepName: string;
  /** Its status. */
  status: 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';
  /** The arguments. */
  input?: SerializedData;
  /** The result. */
  output?: SerializedData;
  /**
   * The latest error, of a retry or of the final failure: a {@link StructuredError}; of SDK 5.x the
   * serialized value that was thrown.
   */
  error?: any;
  /** How often it was begun. */
  attempt: number;
  /** When the first attempt began. */
  startedAt?: Date;
  /** When it completed or failed. */
  completedAt?: Date;
  /** When it was created. */
  createdAt: Date;
  /** When it changed last. */
  updatedAt: Date;
  /** The earliest time of the next attempt. */
  retryAfter?: Date;
  /** The version of the event contract that its creation used. */
  specVersion?: number;
}

/** A step read with `resolveData: 'none'`. */
export type StepWithoutData = Omit<Step, 'input' | 'output'> & {
  input: undefined;
  output: undefined;
};

/**
 * A durable resume point of a workflow run, made by `createHook()` inside the workflow.
 */
export interface Hook {
  /** The workflow run that this hook belongs to. */
  runId: string;
  /** This hook's identifier within its run. */
  hookId: string;
  /** The secret that names this hook. */
  token: string;
  /**
   * The owner (team or user) of this hook; this World has no owners, so it is always `hookline`.
   */
  ownerId: string;
  /** The project of this hook; this World has no projects, so it is always `hookline`. */
  projectId: string;
  /** The environment in which this hook was created. */
  environment: string;
  /**
   * The metadata that the workflow gave the hook.
   *
   * A hook read from the World (`world.hooks`) has the stored bytes; without metadata the key is
   * absent. `getHookByToken()` and the other functions return a `FoundHook`.
   */
  metadata?: any;
  /** When this hook was created. */
  createdAt: Date;
  /** The spec version of the SDK that created this hook. */
  specVersion?: number;
  /** Whether the public webhook route may resume this hook; `undefined` counts as true. */
  isWebhook?: boolean;
  /** Whether workflow 5 made this hook for its own use; hooks of workflow 4 do not have it. */
  isSystem?: boolean;
  /**
   * Until then the hook keeps its token at least (`experimental_minRetention` of workflow 5). A hook
   * that outlives its run can be read, and not resumed.
   */
  tokenRetentionUntil?: Date;
}

/** A durable timer of a run. */
export interface Wait {
  /** Its id: the correlation id of its events. */
  waitId: string;
  /** The run that it belongs to. */
  runId: string;
  /** Its status. */
  status: 'waiting' | 'completed';
  /** When the time is over. */
  resumeAt?: Date;
  /** When it completed, by the time or by {@link Run.wakeUp}. */
  completedAt?: Date;
  /** When it was created. */
  createdAt: Date;
  /** When it changed last. */
  updatedAt: Date;
  /** The version of the event contract that its creation used. */
  specVersion?: number;
}

/** The result of `events.create`. */
export type EventResult = EventOutcome &
  (EventReport | { [Field in keyof EventReport]?: undefined });

/** The log so far, complete or in part, if the World returns it with the event. */
export interface EventReport {
  /** The events, the oldest first. */
  events: Event[];
  /** Where the log goes on. */
  cursor: string | null;
  /** Whether there are more events. */
  hasMore: boolean;
}

/** The event, and the entity that it changed. */
export interface EventOutcome {
  /** Absent for the few events that change an entity without being stored. */
  event?: Event;
  /** The run that it changed. */
  run?: WorkflowRun;
  /** The step that it changed. */
  step?: Step;
  /** The hook that it changed. */
  hook?: Hook;
  /** The wait that it changed. */
  wait?: Wait;
  /** Whether the event has also created its step, for a caller who may then execute it. */
  stepCreated?: true;
  /** The most events that a run may have; set by `WORKFLOW_MAX_EVENTS`. */
  maxEvents?: number;
}

/** The event types that a caller may append. */
export type EventRequestType = Exclude<Event['eventType'], 'hook_conflict'>;

/** An event to append. */
export interface EventRequest {
  /** What happened. */
  eventType: EventRequestType;
  /** Ties the event to its step, hook or wait; `run_*` events have none. */
  correlationId?: string;
  /** The version of the event contract that the caller speaks. Default 3. */
  specVersion?: number;
  /** The data of the event, as in {@link Event} of the same type. */
  eventData?: object;
}

/** The fields of every event. */
export interface EventBase<Type extends string> {
  /** The run in whose log it is. */
  runId: string;
  /** Its id, `evnt_` and what gives its place in the log. */
  eventId: string;
  /** What happened. */
  eventType: Type;
  /** When it was committed. Times never decrease within a log. */
  createdAt: Date;
  /** The version of the event contract that its writer spoke. */
  specVersion?: number;
}

/** An event of a run itself. */
export interface RunEvent<Type extends string> extends EventBase<Type> {
  correlationId?: string;
}

/** An event of a step, a hook or a wait. */
export interface EntityEvent<Type extends string> extends EventBase<Type> {
  correlationId: string;
}

/** The data from which a run is created. */
export interface RunCreation {
  /** See {@link RunBase.deploymentId}. */
  deploymentId: string;
  /** See {@link RunBase.workflowName}. */
  workflowName: string;
  /** The arguments. */
  input: SerializedData;
  /** See {@link RunBase.executionContext}. */
  executionContext?: Record<string, any>;
}

/** One appended fact of a run's log. */
export type Event =
  | (RunEvent<'run_created'> & { eventData: RunCreation })
  | (RunEvent<'run_started'> & { eventData?: Partial<RunCreation> })
  | (RunEvent<'run_completed'> & { eventData: { output?: SerializedData } })
  | (RunEvent<'run_failed'> & { eventData: { error: any; errorCode?: string } })
  | RunEvent<'run_cancelled'>
  | (EntityEvent<'step_created'> & {
      eventData: { stepName: string; workflowName?: string; input: SerializedData };
    })
  | (EntityEvent<'step_started'> & {
      eventData?: { stepName?: string; attempt?: number; workflowName?: string };
    })
  | (EntityEvent<'step_completed'> & {
      eventData: { stepName?: string; workflowName?: string; result: SerializedData };
    })
  | (EntityEvent<'step_failed'> & {
      eventData: { stepName?: string; error: any; stack?: string };
    })
  | (EntityEvent<'step_retrying'> & {
      eventData: { stepName?: string; error: any; stack?: string; retryAfter?: Date };
    })
  | (EntityEvent<'hook_created'> & {
      eventData: {
        token: string;
        metadata?: SerializedData;
        isWebhook?: boolean;
        isSystem?: boolean;
        tokenRetentionUntil?: Date;
      };
    })
  | (EntityEvent<'hook_received'> & { eventData: { token?: string; payload: SerializedData } })
  | (EntityEvent<'hook_disposed'> & { eventData?: { token?: string } })
  | (EntityEvent<'hook_conflict'> & { eventData: { token: string; conflictingRunId?: string } })
  | (EntityEvent<'wait_created'> & { eventData: { resumeAt: Date } })
  | (EntityEvent<'wait_completed'> & { eventData?: { resumeAt?: Date } });
