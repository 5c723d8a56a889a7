import { start } from 'hookline';
import { createHook, createWebhook, sleep } from 'workflow';
import { start as startBySdk } from 'workflow/api';
import { send } from '../lib/mail';

/** Waits for a decision, lets a day pass, and publishes. */
export async function approval(document: string) {
  'use workflow';

  const hook = createHook<{ approved: boolean; by: string }>({
    token: `approval:${document}`,
    metadata: { document },
  });
  const { approved, by } = await hook;
  if (!approved) return { status: 'rejected', by };
  await sleep('24h');
  return { status: await publish(document), by };
}

async function publish(document: string) {
  'use step';
  return `published ${document}`;
}

/** Returns what a request says. */
export async function ingest() {
  'use workflow';

  const webhook = createWebhook();
  const request = await webhook;
  return request.text();
}

/** Starts other runs, in steps, and waits for their ends. */
export async function family(document: string) {
  'use workflow';

  const ends = [await child(document), await childBySdk(document)];
  return ends.join(', ');
}

/** Ends at once. */
export async function echo(text: string) {
  'use workflow';
  return text;
}

async function child(document: string) {
  'use step';
  return (await start(echo, [document])).returnValue;
}

async function childBySdk(document: string) {
  'use step';
  return (await startBySdk(echo, [`${document} again`])).returnValue;
}

/** Reminds after a week and after 30 days; a step of it needs the mail. */
export async function reminder(person: string) {
  'use workflow';

  await sleep('7d');
  const first = await remind(person, 1);
  await sleep('23d');
  return [first, await remind(person, 2)];
}

async function remind(person: string, time: number) {
  'use step';
  return send(person, `reminder ${time}`);
}
