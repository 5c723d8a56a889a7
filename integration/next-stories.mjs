// What the approval app of examples/ does for its users, whatever builds and serves it. `at` is where it
// runs: the `server`, a `page` of a browser, `serve()` to start the server again, `anew()` for a new page,
// the `app`'s folder and its `database`.

import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { ask, cardOf, decide, finished } from './browser.mjs';

/** How much of a server's output goes with a failure. */
const OUTPUT_SHOWN = 4000;

/** A test whose failure shows the output of the server. */
function storyOf(at) {
  return (name, story) =>
    test(name, async () => {
      try {
        await story();
      } catch (error) {
        console.log(`The server:\n${at.server.output.slice(-OUTPUT_SHOWN)}`);
        throw error;
      }
    });
}

/** Somebody asks, somebody decides. */
export function approvals(at) {
  const holds = storyOf(at);

  holds('a form, a click, the step’s result', async () => {
    const runId = await ask(at.page, at.server.url, { title: 'New chairs', amount: 1200 });
    const card = await cardOf(at.page, at.server.url, runId);
    assert.match(await card.textContent(), /New chairs[\s\S]*Grace[\s\S]*€1,200/);
    await decide(at.page, card, 'Approve', runId);
    const lines = await finished(at.page, at.server.url, runId);
    // Each time names its zone.
    const times = await at.page.locator('.progress time').allTextContents();
    assert.ok(
      times.length > 2 && times.every((time) => /\d\d:\d\d:\d\d (?:UTC|GMT|[A-Z]+)/.test(time)),
      `${times}`,
    );
    assert.deepEqual(lines.slice(0, 2), ['Grace asks for €1,200', 'Approved by Ada']);
    assert.match(lines[2], /^Paid, receipt R-[0-9A-F]{8}$/);
    await at.page.goto(at.server.url);
    assert.equal(await at.page.locator(`[data-run="${runId}"]`).count(), 0);
  });

  holds('a rejection pays nothing', async () => {
    const runId = await ask(at.page, at.server.url, { title: 'A yacht', requester: 'Linus' });
    await decide(at.page, await cardOf(at.page, at.server.url, runId), 'Reject', runId);
    const lines = await finished(at.page, at.server.url, runId);
    assert.deepEqual(lines, ['Linus asks for €420', 'Rejected by Ada', 'Nothing was paid']);
  });

  holds(
    'a link approves by a webhook, when its button is pressed and not when it is opened',
    async () => {
      const runId = await ask(at.page, at.server.url, { title: 'By mail' });
      const card = await cardOf(at.page, at.server.url, runId);
      await card.getByText('approval link').click();
      const form = at.page.locator('form', { hasText: 'By mail' });
      const webhook = new URL(await form.getAttribute('action'), at.server.url);
      const opened = await fetch(webhook, { redirect: 'manual' });
      assert.equal(opened.status, 303);
      await form.getByRole('button', { name: 'Approve' }).click();
      await at.page.waitForURL(`${at.server.url}/runs/${runId}`);
      await at.page.getByText('Approved by link').waitFor();
      // It is pending no more, though it is not yet paid.
      await at.page.getByText('back to what is pending').click();
      await at.page.getByRole('heading', { name: 'Pending' }).waitFor();
      assert.equal(await at.page.locator(`[data-run="${runId}"]`).count(), 0);
      const lines = await finished(at.page, at.server.url, runId);
      assert.equal(lines[1], 'Approved by link');
      const decided = await fetch(webhook, { method: 'POST' });
      assert.equal(decided.status, 404);
      const gone = await at.page.goto(
        `${at.server.url}/approve/${webhook.pathname.split('/').pop()}`,
      );
      assert.equal(gone.status(), 404);
      await at.page.getByText('works until somebody has decided').waitFor();
    },
  );

  holds('the REST route resumes, and answers 404 to a token that nobody waits for', async () => {
    const runId = await ask(at.page, at.server.url, { title: 'By another system' });
    const card = await cardOf(at.page, at.server.url, runId);
    const token = await card.locator('[name=token]').inputValue();
    const post = () =>
      fetch(`${at.server.url}/api/hooks`, {
        method: 'POST',
        body: JSON.stringify({ token, data: { approved: true, by: 'the other' } }),
      });
    const resumed = await post();
    assert.deepEqual(await resumed.json(), { runId });
    assert.equal((await finished(at.page, at.server.url, runId))[1], 'Approved by the other');
    const gone = await post();
    assert.equal(gone.status, 404);
    assert.deepEqual(await gone.json(), { error: 'Hook not found' });
  });

  holds('a click on what somebody else has decided says so', async () => {
    const runId = await ask(at.page, at.server.url, { title: 'Twice' });
    const late = await cardOf(at.page, at.server.url, runId);
    const other = await at.openPage();
    await decide(other, await cardOf(other, at.server.url, runId), 'Reject', runId);
    await finished(other, at.server.url, runId);
    await other.close();
    await late.getByRole('button', { name: 'Approve' }).click();
    await at.page.getByRole('alert').getByText('Somebody else has decided already.').waitFor();
  });
}

/** What Next.js gives to code, in each of its runtimes. */
export function runtimes(at) {
  const holds = storyOf(at);

  holds('a step has the request that Next.js gives to a route', async () => {
    const answer = await fetch(`${at.server.url}/api/context`, { method: 'POST' });
    assert.deepEqual(await answer.json(), { cookies: 0, isRequest: true, revalidated: true });
    await at.server.until('after()', () => at.server.output.includes('ran after the step'));
  });

  holds('what runs without Node says so when it is called, and breaks no build', async () => {
    const answer = await (await fetch(`${at.server.url}/api/edge`)).json();
    assert.equal(answer.isMissing, false);
    assert.match(answer.message, /^getHookByToken\(\) of hookline cannot run here/);
    await at.page.goto(`${at.server.url}/client`);
    await at.page.getByText('HookNotFoundError').waitFor();
  });
}

/** A kill that certainly comes between the click and what follows. */
export function crashAfterClick(at) {
  storyOf(at)(
    'killed between the click and what follows: after a restart it completes, once',
    async () => {
      const runId = await ask(at.page, at.server.url, { title: 'Through a crash' });
      await at.server.kill();
      const before = at.server.output;
      // A server that takes clicks and delivers nothing: so the kill certainly comes in between.
      at.server = await at.serve({ WORKFLOW_HOOKLINE_ROLE: 'producer' });
      await decide(at.page, await cardOf(at.page, at.server.url, runId), 'Approve', runId);
      await at.server.kill();
      at.server = await at.serve();
      await at.anew();
      const lines = await finished(at.page, at.server.url, runId);
      assert.match(lines[2], /^Paid, receipt/);
      const paid = (before + at.server.output).match(/paying €420 for Through a crash/g);
      assert.equal(paid?.length, 1);
      const types = await eventTypes(at.app, at.database, runId);
      const count = (type) => types.filter((one) => one === type).length;
      // Three reports, the payment and the end of the report: each once.
      assert.deepEqual(
        [count('hook_received'), count('step_completed'), count('run_completed')],
        [1, 5, 1],
      );
    },
  );
}

/** A kill at whatever moment. */
export function crashAtClick(at) {
  storyOf(at)(
    'killed at the click, at whatever moment: after a restart it completes, once',
    async () => {
      const runId = await ask(at.page, at.server.url, { title: 'Through another' });
      await decide(at.page, await cardOf(at.page, at.server.url, runId), 'Approve', runId);
      await at.server.kill();
      at.server = await at.serve();
      await at.anew();
      await finished(at.page, at.server.url, runId);
      const types = await eventTypes(at.app, at.database, runId);
      assert.equal(types.filter((type) => type === 'hook_received').length, 1);
      assert.equal(types.filter((type) => type === 'step_completed').length, 5);
    },
  );
}

/** A development server loads what is edited. */
export function edit(at) {
  storyOf(at)('after an edit the same engine goes on with the new code', async () => {
    const source = join(at.app, 'workflows', 'approval.ts');
    const text = await readFile(source, 'utf8');
    const route = join(at.app, 'app', 'actions.ts');
    const routeText = await readFile(route, 'utf8');
    // The SDK's watcher (4.8.9) may take the first change for the start of its watch, with every
    // World; so the first change is none.
    await writeFile(source, `${text}\n`);
    const runId = await ask(at.page, at.server.url, { title: 'Edited' });
    const owners = await readdir(`${at.database}-owners`);
    let seen = [];
    try {
      const edited = text.replace("'Approved'", "'Accepted'").replace("'Rejected'", "'Declined'");
      await writeFile(source, edited);
      await writeFile(route, routeText.replace("'Ada'", "'Edith'"));
      await at.server.until('the edited code', async () => {
        const id = await ask(at.page, at.server.url, { title: 'Edited' });
        await decide(at.page, await cardOf(at.page, at.server.url, id), 'Approve', id);
        seen = await finished(at.page, at.server.url, id);
        return seen.includes('Accepted by Edith');
      });
      assert.deepEqual(await readdir(`${at.database}-owners`), owners);
      // So does what began before the edit.
      await decide(at.page, await cardOf(at.page, at.server.url, runId), 'Reject', runId);
      seen = await finished(at.page, at.server.url, runId);
      assert.equal(seen[1], 'Declined by Edith');
    } catch (error) {
      error.message = `${error.message}\nSeen: ${seen.join('; ')}`;
      throw error;
    } finally {
      await writeFile(source, text);
      await writeFile(route, routeText);
    }
  });
}

/** The log of a run, read by the package that the app has installed. */
async function eventTypes(app, database, runId) {
  const { createWorld } = createRequire(join(app, 'index.js'))('hookline');
  const world = createWorld({ url: database, role: 'reader' });
  const { data } = await world.events.list({ runId, pagination: { limit: 1000 } });
  await world.close();
  return data.map(({ eventType }) => eventType);
}
