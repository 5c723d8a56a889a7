// A real Chromium, and the actions of a person in the approval app.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const WAIT_MS = 60_000;

/** A new browser with a profile of its own. */
export function openBrowser() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page of the browser that waits long enough for a development server to compile. */
export async function openPage(browser) {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  return page;
}

/** Fills the form and asks; returns the id of the run that the app then shows. */
export async function ask(page, url, { title, amount = 420, requester = 'Grace' }) {
  await page.goto(url);
  await page.fill('[name=title]', title);
  await page.fill('[name=amount]', String(amount));
  await page.fill('[name=requester]', requester);
  await page.click('button:text-is("Ask")');
  const runId = await runOf(page);
  await page.waitForSelector(`text=${requester} asks for €${amount.toLocaleString('en')}`);
  return runId;
}

/** Opens the list of pending approvals, and returns the card of a run. */
export async function cardOf(page, url, runId) {
  await page.goto(url);
  const card = page.locator(`[data-run="${runId}"]`);
  await card.waitFor();
  return card;
}

/** Clicks a decision; resolves when the app has accepted it and shows the run. */
export async function decide(page, card, decision, runId) {
  await card.getByRole('button', { name: decision }).click();
  assert.equal(await runOf(page), runId);
}

/** The lines of progress when the run has ended. */
export async function finished(page, url, runId) {
  if (!page.url().endsWith(runId)) await page.goto(`${url}/runs/${runId}`);
  await page.waitForSelector('.progress[data-over="true"]');
  return page.locator('.progress span').allTextContents();
}

async function runOf(page) {
  await page.waitForURL(/\/runs\/wrun_/);
  return page.url().split('/').pop();
}
