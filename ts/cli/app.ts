/** Asks the app whether it serves the SDK's routes. */
import { request as requestPlain } from 'node:http';
import { request as requestByTls } from 'node:https';
import { appUrl, readConfig } from '../engine/config';
import type { LivingWorker } from '../world/pulse';
import type { Finding } from './finding';

/** The time limit for the app's answer. */
const ANSWERS_WITHIN_MS = 2000;
/** The SDK's route for replays. */
const FLOW = '/.well-known/workflow/v1/flow';

const what = 'App';

/**
 * Asks the app where the workers have found it, or else where the variables of this command say.
 * Handlers in a worker's own process need no address.
 */
export async function app(workers: LivingWorker[]): Promise<Finding[]> {
  const found = workers.map(({ app }) => app?.at).filter((at) => typeof at === 'string');
  const said = readConfig({}).baseUrl ?? appUrl();
  const urls = found.length > 0 ? found : [said].filter((url) => url !== undefined);
  const silences = workers.map(silent).filter((finding) => finding !== undefined);
  if (silences.length > 0) return silences;
  if (urls.length > 0) return Promise.all([...new Set(urls)].map(ask));
  if (workers.length === 0) return [];
  return [
    { what, state: 'good', found: 'is not asked: handlers in the workers take all messages' },
  ];
}

/** What a worker says of an app that does not answer; it is a problem once messages are due. */
function silent({ pid, app }: LivingWorker): Finding | undefined {
  if (!app?.silence) return undefined;
  const fix = `Process ${pid ?? '?'} asks it again and again; messages wait for it.`;
  return { what, state: 'warning', found: app.silence.found, fix };
}

async function ask(url: string): Promise<Finding> {
  if (!/^https?:\/\/./i.test(url)) {
    const fix = 'Set WORKFLOW_HOOKLINE_BASE_URL to a URL of the app.';
    return { what, state: 'problem', found: 'its address is no http:// or https:// URL', fix };
  }
  try {
    const { status, text } = await post(new URL(`${url.replace(/\/+$/, '')}${FLOW}?__health`));
    if (isHealthOfFlow(status, text)) return { what, state: 'good', found: `${url} answers` };
    const found = `${url} answers ${status}, not as a workflow app`;
    const fix = 'Is it another program at this port, or a proxy in between? Check PORT.';
    return { what, state: 'problem', found, fix };
  } catch {
    const fix = 'Start it, or check PORT and WORKFLOW_HOOKLINE_BASE_URL.';
    return { what, state: 'warning', found: `${url} does not answer`, fix };
  }
}

/**
 * Asks as deliveries do: many servers route nothing else to the handler. The question is no secret,
 * so the certificate does not matter.
 */
function post(url: URL): Promise<{ status: number; text: string }> {
  const request = url.protocol === 'https:' ? requestByTls : requestPlain;
  const headers = { 'content-type': 'application/json' };
  const signal = AbortSignal.timeout(ANSWERS_WITHIN_MS);
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers, signal, agent: false, rejectUnauthorized: false };
    const asked = request(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.end('{}');
  });
}

/** Another server may answer every request, so compare the answer with that of the SDK's route. */
function isHealthOfFlow(status: number, text: string): boolean {
  try {
    const { healthy, endpoint } = JSON.parse(text);
    return status === 200 && healthy === true && String(endpoint).includes(FLOW);
  } catch {
    return false;
  }
}
