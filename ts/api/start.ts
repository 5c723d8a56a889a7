/**
 * `start`, as `workflow/api` documents it, in one commit: the run and the message that starts it
 * are both on disk when the promise resolves, and neither is when it rejects.
 */
import type { StartOptions, World } from '../../index';
import type { Engine } from '../engine/engine';
import type { ArgumentsTarget } from '../lines/line';
import { lineOfSpec } from '../lines/table';
import { answerOf, settled } from '../native/binding';
import { concise, invalid } from '../native/errors';
import { encodePayload, storableJson } from '../native/requests';
import { messageOf, missingSdk, presentLine } from '../setup/installed-sdk';
import { expectDelivery } from '../world/vigil';
import { engineOf, processWorld } from '../world/world';
import { flushInBackground, outlivingTheRequest } from './background';
import { startElsewhere } from './elsewhere';
import { HooklineRun } from './hookline-run';
import { Run } from './run';
import { type StartSpan, traceCarrier, tracedStart } from './telemetry';

/** The property that the SDK's build adds to every workflow function. */
type Workflow = { workflowId?: string } | null | undefined;

/** The workflow names that the SDK accepts in a queue name. */
const WORKFLOW_NAME = /^[\w\-./@()[\]]+$/;

/** Runs of the first spec version hold plain values instead of bytes. */
const LEGACY_SPEC_VERSION = 1;

let hasWarnedOfLatest = false;

/**
 * Starts a run of a workflow.
 *
 * @throws the SDK's `WorkflowRuntimeError` for a value that is not a workflow function, or for
 *   arguments that cannot be serialized; then nothing is written.
 * @throws WorkflowWorldError when the database cannot be used.
 */
export function start(
  workflow: unknown,
  argsOrOptions?: unknown[] | StartOptions,
  options?: StartOptions,
): Promise<Run<unknown>> {
  const isArgs = Array.isArray(argsOrOptions);
  const isOptions = !isArgs && typeof argsOrOptions === 'object' && argsOrOptions !== null;
  const given = isOptions ? argsOrOptions : options;
  const args = isArgs ? argsOrOptions : [];
  const started = (async () => {
    const world = (given?.world as World | undefined) ?? processWorld();
    const engine = engineOf(world);
    if (!world || !engine) {
      const run = await startElsewhere(workflow, argsOrOptions, options);
      return new Run(run.runId, run);
    }
    const workflowName = nameOf(workflow as Workflow);
    return tracedStart(workflowName, args.length, (span) =>
      begin({ world, engine }, workflowName, args, given ?? {}, span),
    );
  })();
  return outlivingTheRequest(started);
}

async function begin(
  { world, engine }: { world: World; engine: Engine },
  workflowName: string,
  args: unknown[],
  options: StartOptions,
  span: StartSpan | undefined,
): Promise<Run<unknown>> {
  const native = await engine.connect();
  const { runId } = answerOf<{ runId: string }>(native.freshRunId()).json;
  const target = await deploymentOf(world, options.deploymentId);
  const specVersion = options.specVersion ?? presentLine().specVersion;
  const { serializer } = lineOfSpec(specVersion);
  checkNamespace(engine, options.namespace);
  const creation = serializer.creationOf(options, specVersion);
  const raw = await world.getEncryptionKeyForRun(runId, { ...options, deploymentId: target.id });
  const encryptionPublicKey = raw && (await serializer.publicKeyOf(raw));
  const key = raw && (await serializer.importKey(raw));
  const input = await serialized(
    args,
    { runId, key, specVersion, isOfThisSdk: target.isCurrent },
    world,
  );
  const payload = encodePayload(input);
  const request = storableJson({
    runId,
    eventType: 'run_created',
    specVersion,
    payloadFormat: payload?.format,
    eventData: {
      deploymentId: target.id,
      workflowName,
      executionContext: {
        traceCarrier: traceCarrier(),
        workflowCoreVersion: serializer.coreVersion(),
        features: { encryption: key !== undefined },
        ...creation.executionContext,
      },
      encryptionPublicKey,
      ...creation.eventData,
    },
  });
  await settled(native.startRun(request as string, payload?.bytes ?? new Uint8Array(0)));
  expectDelivery(engine);
  span?.started(runId, target.id);
  return new Run(runId, new HooklineRun(runId, world));
}

/**
 * Checks the workflow's name here, because nothing may be written for a name that fits no queue.
 */
function nameOf(workflow: Workflow): string {
  const name = workflow?.workflowId;
  if (!name) {
    // Without the SDK's build, every workflow function is an ordinary function.
    const missing = missingSdk();
    throw concise(
      presentLine().serializer.runtimeError(
        `'start' received an invalid workflow function. Ensure the Workflow SDK is configured correctly and the function includes a 'use workflow' directive.${missing ? ` ${messageOf(missing)}` : ''}`,
        'start-invalid-workflow-function',
      ),
    );
  }
  if (!WORKFLOW_NAME.test(name)) {
    throw new Error(
      `Invalid workflow name "${name}": must only contain alphanumeric characters, underscores, hyphens, dots, forward slashes, at signs, parentheses, or square brackets`,
    );
  }
  return name;
}

/** The deployment of the run. */
async function deploymentOf(world: World, asked: string | undefined) {
  const current = await world.getDeploymentId();
  const id = asked === 'latest' ? await latestOf(world, current) : (asked ?? current);
  return { id, isCurrent: id === current };
}

async function latestOf(world: World, current: string): Promise<string> {
  if (world.resolveLatestDeploymentId) return world.resolveLatestDeploymentId();
  if (!hasWarnedOfLatest) {
    hasWarnedOfLatest = true;
    console.warn(
      "[hookline] deploymentId: 'latest' has no effect, because this process has no release: set WORKFLOW_HOOKLINE_DEPLOYMENT_ID.",
    );
  }
  return current;
}

/** The messages of a run are in the namespace of its World. */
function checkNamespace(engine: Engine, asked: string | undefined): void {
  const own = engine.config().queueNamespace;
  if (asked === undefined || asked === (own ?? '')) return;
  throw invalid(
    `start() cannot use the namespace ${JSON.stringify(asked)}: this World has ${own ? JSON.stringify(own) : 'none'}. Set WORKFLOW_QUEUE_NAMESPACE.`,
  );
}

type Target = Omit<ArgumentsTarget, 'v1Compat'>;

async function serialized(args: unknown[], target: Target, world: World): Promise<unknown> {
  const { runId, specVersion } = target;
  const v1Compat = specVersion <= LEGACY_SPEC_VERSION;
  const uploads: Promise<unknown>[] = [];
  try {
    const { serializer } = lineOfSpec(specVersion);
    return await serializer.dehydrateArguments(args, { ...target, v1Compat }, uploads, world);
  } finally {
    flushInBackground(uploads, 'workflow arguments', { runId });
  }
}
