/**
 * The only file that reaches the native addon.
 *
 * Values cross as text and bytes: a reply is one JSON document plus one block of bytes that the
 * document points into. So JavaScript makes every object, Date and Error that a caller sees, in the
 * caller's own realm (under Jest the addon's own objects would fail `instanceof`). A page of a
 * thousand events costs one native value instead of ten thousand.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { version } from '../../package.json';
import { addonMissing } from './addon-missing';
import { type NativeFault, toError } from './errors';
import { refuseOldNode } from './node-version';
import { decodeStored } from './stored-json';

/** Where a payload is in a reply: bytes of the block, JSON text, or absent. */
export type PayloadRef = { at: number; len: number } | { json: string } | null | undefined;

/**
 * The reply of every native operation: the JSON text alone if there are no bytes, which costs less;
 * `error` is the JSON of a {@link NativeFault}.
 */
export type NativeReply = string | { json?: string; bytes?: Uint8Array; error?: string };

/** The bytes of every reply without bytes. */
const NO_BYTES = new Uint8Array(0);

/** What a look-up by key answers: at once where the rows are at hand. */
export type PointRead = NativeReply | Promise<NativeReply>;

/** A message handed to this process for one delivery. */
export interface NativeDelivery {
  deliveryId: number;
  queueName: string;
  messageId: string;
  attempt: number;
  leaseToken: string;
}

/** One World of the addon: `src/binding/world.rs`, method by method. */
export interface NativeWorld {
  open(): Promise<NativeReply>;
  /** Whether there is no database to read yet. Opens nothing. */
  isAbsent(): boolean;
  /** Where the database is, or will be made: a `Place`; void for memory. Opens nothing. */
  place(): NativeReply;
  /**
   * Makes the schema of a Postgres database, or brings it up to date: `{ onlyShows, grantTo }`. Opens
   * no World.
   */
  migrate(request: string): Promise<NativeReply>;
  close(): Promise<NativeReply>;
  /** Ends deliveries as `close` does, and leaves the database open. */
  drain(): Promise<NativeReply>;

  /**
   * Appends an event: `{ runId, eventType, correlationId, specVersion, eventData, payloadFormat }`,
   * with the payload beside it. An error is an object, or bytes for runs from spec version 6 on.
   * A `step_started` with a `stepName` and a payload also creates its step; then the reply has
   * `stepCreated`. `resumeId` and `resumePayloadDigest`, or `stepResume`, make a `hook_received`
   * happen once.
   * `sinceCursor`, or else `eventCount`, asks for the events that the caller lacks, and
   * `skipPreload` forgoes the log that answers a `run_started`: the reply has that part of the log
   * as `events`, `cursor` and `hasMore`.
   */
  appendEvent(request: string, payload?: Uint8Array): Promise<NativeReply>;
  /**
   * Appends events of a run in one commit: `{ events: [{ event, payload: { at, len } }] }`, each event
   * as above. The reply has `results`: for each event the reply as above, or `{ fault }`.
   */
  appendEvents(request: string, bytes: Uint8Array): Promise<NativeReply>;
  resumeHook(request: string, payload: Uint8Array): Promise<NativeReply>;
  hookForResume(token: string): PointRead;
  /** Whether look-ups are round trips, so that {@link resumePlainly} saves one. */
  looksUpRemotely(): boolean;
  /** A look-up that also sends a payload of plain data, if the hook takes such a one as it is. */
  resumePlainly(token: string, payload: Uint8Array): Promise<NativeReply>;
  runForResume(runId: string): PointRead;
  /**
   * The bytes of a run's key; none when its values are plain. `input` are the arguments of a run that may
   * not exist yet.
   */
  runKey(runId: string, input?: Uint8Array): PointRead;
  resumeHookOnce(request: string, payload: Uint8Array): Promise<NativeReply>;
  /** The hook that a resume with this key found; void when there was none. */
  earlierResume(request: string): PointRead;
  /**
   * The hook with this token that a step has resumed from this place, as it was made; void if there was
   * none, or if the present attempt has repeated all resumes from there.
   */
  hookOfStep(place: string, repeated: number, token: string): PointRead;

  freshRunId(): NativeReply;
  /** `run_created` and the run's first wake-up, in one commit. */
  startRun(request: string, payload: Uint8Array): Promise<NativeReply>;
  /** Completes pending waits and wakes the run, in one commit. */
  wakeUpRun(request: string): Promise<NativeReply>;
  /** A name for one wait of this object. */
  freshWaiter(): number;
  /** The run when it has ended; void when the waiter is stopped. */
  awaitRunEnd(waiter: number, runId: string): Promise<NativeReply>;
  /** The live hook with the token, now or later; void when the waiter is stopped. */
  awaitHook(waiter: number, token: string): Promise<NativeReply>;
  stopAwaiting(waiter: number): void;

  getRun(runId: string, resolveData: boolean): Promise<NativeReply>;
  listRuns(query: string): Promise<NativeReply>;
  getStep(runId: string | undefined, stepId: string, resolveData: boolean): Promise<NativeReply>;
  listSteps(query: string): Promise<NativeReply>;
  getEvent(runId: string, eventId: string, resolveData: boolean): Promise<NativeReply>;
  listEvents(query: string): Promise<NativeReply>;
  listEventsByCorrelationId(query: string): Promise<NativeReply>;
  getHook(hookId: string, resolveData: boolean): Promise<NativeReply>;
  getHookByToken(token: string): PointRead;
  listHooks(query: string): Promise<NativeReply>;

  enqueue(request: string, body: Uint8Array): Promise<NativeReply>;
  /**
   * Several messages in one commit: a list of requests of `enqueue`, each with the length of its body
   * as `len`, and the bodies one after the other. A list of `{ messageId }` or `{ error }`.
   */
  enqueueAll(request: string, bodies: Uint8Array): Promise<NativeReply>;
  /**
   * Settles with a `NativeWorker` after the first claim; rejects when that can never work.
   */
  startWorker(
    deliver: (delivery: string, body: Uint8Array) => void,
    /**
     * Called at the first fault of each kind, with a `NativeWorkerFault` of
     * `engine/worker-faults.ts`.
     */
    warn: (fault: string) => void,
    /** The JSON of `engine/app-address.ts`. */
    app: string,
  ): Promise<NativeReply>;
  handlerRegistered(prefix: string): void;
  settleDelivery(deliveryId: number, outcome: string): void;
  /**
   * Sends a challenge to this process's own server; `{ asked: false }` where none listens, and for a
   * World that never delivers.
   */
  askOwnServer(app: string): Promise<NativeReply>;
  /** The answer to a challenge: `{ proof }`. */
  proveApp(challenge: string): NativeReply;
  /** `ClaimedDelivery`, answered with an `AdmittedDelivery`; void when the lease is not live. */
  admitDelivery(request: string): Promise<NativeReply>;
  /** The proof of an answer to the request with this proof: `{ proof }`. */
  proveAnswer(requestProof: string, status: number, body: string): NativeReply;
  /** The handler of a delivery that entered has ended. */
  endDelivery(messageId: string): void;

  /** `WorldStats`, its faults as `NativeWorkerFault`s. */
  stats(): Promise<NativeReply>;
  listDeadMessages(query: string): Promise<NativeReply>;
  listHeldMessages(query: string): Promise<NativeReply>;
  redrive(messageId: string): Promise<NativeReply>;

  /** A list of `NativeRelease`s of `world/releases.ts`. */
  releases(): Promise<NativeReply>;
  /** Gives the open runs of a deployment id to another release: `{ runs }`. */
  adopt(from: string, to: string): Promise<NativeReply>;
  /** Notes that a release will never be back. */
  releaseGone(releaseId: string): Promise<NativeReply>;
  /** Cancels the open runs of a deployment id: `{ runs }`. */
  cancelRelease(deploymentId: string): Promise<NativeReply>;

  /** Settles once this process has nothing to deliver, with `{ nextDueInMs: number | null }`. */
  whenIdle(): Promise<NativeReply>;
  /** Skips milliseconds in a World for tests. */
  skipTime(ms: number): NativeReply;
  /** Makes a commit of a World for tests fail: `{ nth, code }`. */
  failCommit(request: string): NativeReply;

  /** The waits and messages that may still wake a run: `{ waits, messages }`. */
  outlook(runId: string): Promise<NativeReply>;
  /** Examines the database; reads all of it. */
  examine(): Promise<NativeReply>;
  /** The living workers, as a list of `LivingWorker`s. */
  workers(): Promise<NativeReply>;
  /** Copies the database into a new file: `{ bytes, runs, events }`. */
  backUp(file: string): Promise<NativeReply>;
  /** Adds a run by its log; the payloads are in `bytes`. */
  importRun(request: string, bytes: Uint8Array): Promise<NativeReply>;

  writeStream(name: string, runId: string, chunks: Uint8Array[]): Promise<NativeReply>;
  closeStream(name: string, runId: string): Promise<NativeReply>;
  readStream(request: string): Promise<NativeReply>;
  stopReadingStream(readId: number): void;
  getStreamChunks(request: string): Promise<NativeReply>;
  getStreamInfo(name: string): Promise<NativeReply>;
  listStreams(runId: string): Promise<NativeReply>;
}

/** A move of a database to another place: `src/binding/moving.rs`. */
export interface NativeMove {
  /** The next word about it: `{ done, total }`, at the end `{ from, to, tables }`. */
  next(): Promise<NativeReply>;
}

/** The addon's exports. */
export interface NativeBinding {
  NativeWorld: new (config: string) => NativeWorld;
  NativeMove: new (from: string, to: string) => NativeMove;
  addonVersion(): string;
  /**
   * Calls `work` in a context in which no `AsyncLocalStorage` has a store; throws what `work`
   * throws.
   */
  callInNobodysContext(work: () => void): void;
}

/** A successful reply, parsed: the JSON document and the block of bytes that it points into. */
export interface Answer<T> {
  json: T;
  bytes: Uint8Array;
}

/**
 * Parses a successful reply, or throws the error of a failed one.
 *
 * @throws an error of the class in `./errors` for the fault's code.
 */
export function answerOf<T>(reply: NativeReply): Answer<T> {
  if (typeof reply === 'string') return { json: decodeStored(reply) as T, bytes: NO_BYTES };
  if (reply.error != null) throw toError(JSON.parse(reply.error) as NativeFault);
  const json = (reply.json == null ? undefined : decodeStored(reply.json)) as T;
  return { json, bytes: reply.bytes ?? NO_BYTES };
}

/** Awaits a native operation; see {@link answerOf}. */
export async function settled<T = undefined>(reply: Promise<NativeReply>): Promise<Answer<T>> {
  return answerOf<T>(await reply);
}

/** To be awaited: what a point read answers; see {@link answerOf}. */
export function pointRead<T = undefined>(reply: PointRead): Answer<T> | Promise<Answer<T>> {
  return typeof reply === 'object' && 'then' in reply ? settled<T>(reply) : answerOf<T>(reply);
}

let binding: NativeBinding | undefined;

/**
 * The addon's exports, loaded on the first call: importing this package never loads it.
 *
 * @throws WorkflowWorldError with code `NO_ADDON` when there is none for this platform, or only one
 *   of another version; Error when Node is too old.
 */
export function loadBinding(): NativeBinding {
  if (binding) return binding;
  refuseOldNode();
  let found: NativeBinding;
  try {
    found = besideThisFile() ?? fromWorkingDirectory();
  } catch (cause) {
    throw addonMissing(cause);
  }
  // The cause may be a lock file that pins only the platform package, or a copied folder. The
  // protocol between the two parts has no version of its own, so their versions must be equal.
  const addonVersion = found.addonVersion();
  if (addonVersion !== version) {
    throw addonMissing(`it is version ${addonVersion}, and this package is version ${version}`);
  }
  binding = found;
  return binding;
}

/** The ordinary case; `undefined` when this code has been bundled away from its package. */
function besideThisFile(): NativeBinding | undefined {
  let load: NodeJS.Require;
  let path: string;
  try {
    load = createRequire(__filename);
    // In these words, because programs that copy the files of a server into an image (nft, in
    // Nitro, eve and Next.js) read them and take the file along, with the platform's package. No
    // bundler follows them: it would try to parse the binary, and the build would fail.
    path = join(__dirname, '..', 'native', 'binding.js');
    load.resolve(path);
  } catch {
    // In a bundle the file name is a made-up path. Only a missing file ends up here: an addon that
    // is there and does not load must report why.
    return undefined;
  }
  return load(path) as NativeBinding;
}

// Joined at run time, so that no bundler follows it.
const BY_NAME = ['hookline', 'binding'].join('/');

function fromWorkingDirectory(): NativeBinding {
  return createRequire(join(process.cwd(), 'index.js'))(BY_NAME) as NativeBinding;
}
