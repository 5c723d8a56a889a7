// Two builds of an agent on eve at once on one database: sessions that talk to the new one, while both
// are killed again and again.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EveAgent, Session } from './eve.mjs';

/**
 * A build that is killed lives for so long, and is away for so long at most. It lives long enough for a
 * step, because the SDK gives a step up that was begun four times.
 */
const LIFE_MS_MIN = 2000;
const LIFE_MS_MAX = 6000;
const AWAY_MS_MAX = 1000;
/** A person does not answer at once. */
const THINKS_MS = 400;
const ASK_AGAIN_MS = 100;
const AT_ONCE = 16;

/** Serves a build as a release. */
export function release(built, url, id) {
  const env = { WORKFLOW_HOOKLINE_URL: url, WORKFLOW_HOOKLINE_DEPLOYMENT_ID: id };
  return EveAgent.serve(built, 'alone', env);
}

/** Numbers from 0 to 1 that a seed determines (Mulberry32). */
export function sequence(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Does something with each, some of them at once. */
export async function forEach(all, act) {
  const left = [...all];
  const worker = async () => {
    while (left.length > 0) await act(left.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Kills a release at random moments, and starts it again, until it is told to end. */
export class Chaos {
  #ends = false;
  #done;
  kills = 0;

  constructor(agent, random) {
    this.#done = this.#run(agent, random);
  }

  async #run(agent, random) {
    while (!this.#ends) {
      await pause(LIFE_MS_MIN + random() * (LIFE_MS_MAX - LIFE_MS_MIN));
      await agent.kill();
      this.kills += 1;
      await pause(random() * AWAY_MS_MAX);
      await agent.start();
    }
  }

  /** Resolves when the release is up for good, to how often it was killed. */
  async end() {
    this.#ends = true;
    await this.#done;
    return this.kills;
  }
}

/** The runs in a database that have failed, each with its failed steps. */
export async function failedRuns({ folder }, url) {
  const { createWorld } = createRequire(join(folder, 'package.json'))('hookline');
  const world = createWorld({ url, role: 'reader' });
  const { data } = await world.runs.list({ status: 'failed', pagination: { limit: 1000 } });
  const failed = data.map(async ({ runId, workflowName, attributes }) => {
    const steps = await world.steps.list({ runId });
    const names = steps.data.filter(({ status }) => status === 'failed').map((it) => it.stepName);
    return { runId, workflowName, attributes, steps: names };
  });
  return Promise.all(failed).finally(() => world.close());
}

/** A session whose person says one thing after the other, to whichever agent takes it. */
export class Conversation extends Session {
  /** What was said, each with how often it may have been taken without an answer to the request. */
  said = [];
  /** Its events at some moment: the beginning of whatever comes later. */
  before = [];

  /** Begins it with a message, which is answered or asks for an approval. */
  static async begin(agent, message) {
    const { id } = await agent.begin(message);
    const conversation = new Conversation(agent, id);
    conversation.said.push({ text: message, unsure: 0 });
    await conversation.event(message.startsWith('pay ') ? 'turn.waiting' : 'session.waiting');
    conversation.before = await conversation.history();
    return conversation;
  }

  /** A server that was just killed has no history to show. */
  history() {
    return super.history().catch(() => []);
  }

  async tell(text) {
    const { unsure } = await this.#ask({ message: text });
    this.said.push({ text, unsure });
  }

  /** Says something, and waits until it is answered. */
  async talk(text) {
    await this.tell(text);
    await this.isAnswered(text);
  }

  isAnswered(text) {
    const isIn = (turn) => textsOf(turn).includes(text) && turn.answers.length > 0;
    return this.agent.until(`an answer to ${text} of ${this.id}`, async () =>
      turnsOf(await this.history()).some(isIn),
    );
  }

  async approvePayment() {
    const [{ requestId }] = (await this.event('input.requested')).data.requests;
    const approval = { inputResponses: [{ requestId, optionId: 'approve' }] };
    const { unsure } = await this.#ask(approval);
    // eve takes a second approval of one request for a message.
    if (unsure > 0) this.said.push({ text: 'approve', unsure: unsure - 1, isOptional: true });
    await this.isAnswered(this.said[0].text);
  }

  /** Sends until it is taken; returns how often it may also have been taken before. */
  async #ask(body) {
    for (let unsure = 0; ; await pause(ASK_AGAIN_MS)) {
      const answer = await this.agent
        .post(`session/${this.id}`, body)
        .catch((error) => ({ error }));
      if (answer.status < 300) return { unsure };
      if (answer.error?.cause?.code === 'ECONNREFUSED') continue;
      if (answer.error || answer.status === 500) unsure += 1;
      else assert.equal(answer.body?.code, 'session_not_ready', JSON.stringify(answer));
    }
  }

  /** Talks as a person who gets an approval to answer, or a session that waits, from another build. */
  async live(random) {
    const isAsked = this.said[0].text.startsWith('pay ');
    await pause(random() * THINKS_MS);
    if (isAsked) await this.approvePayment();
    for (const text of ['one', 'two', 'three']) {
      await pause(random() * THINKS_MS);
      await this.talk(`${text} of ${this.said[0].text}`);
    }
  }

  /** Checks that all that was said was heard and answered, once, and that the history is whole. */
  async check() {
    const events = await super.history();
    const whole = JSON.stringify(events.map(({ type, data }) => [type, data?.message]));
    const ids = (list) => list.map(({ meta }) => meta.id);
    assert.deepEqual(ids(events).slice(0, this.before.length), ids(this.before), whole);
    assert.equal(events.filter(({ type }) => type === 'session.started').length, 1, whole);
    const turns = turnsOf(events);
    const heard = turns.flatMap(textsOf);
    for (const { text, unsure, isOptional } of this.said) {
      const times = heard.filter((one) => one === text).length;
      const least = isOptional ? 0 : 1;
      assert.ok(times >= least && times <= 1 + unsure, `${text}: heard ${times} times, ${whole}`);
    }
    const known = this.said.map(({ text }) => text);
    assert.deepEqual(
      heard.filter((text) => !known.includes(text)),
      [],
      whole,
    );
    let count = 0;
    for (const { heard, answers } of turns) {
      count += heard.length;
      const last = heard.at(-1);
      const isPaid = last.startsWith('pay ');
      assert.equal(new Set(answers).size, answers.length, whole);
      const answer = isPaid ? `${last}: "paid ${last.slice(4)}"` : `${last}: ${count} messages`;
      // To its model eve says more of an approval that comes too late.
      if (last === 'approve') assert.ok(answers.at(-1).endsWith(`: ${count} messages`), whole);
      else assert.equal(answers.at(-1), answer, whole);
    }
  }
}

/**
 * The turns of a history: what was heard, and what was answered. What a kill cuts off, a turn or a step
 * of it, begins again under its id; eve then joins messages that have come meanwhile.
 */
function turnsOf(events) {
  const turns = new Map();
  for (const { type, data } of events) {
    if (type === 'turn.started') turns.set(data.turnId, { heard: [], steps: new Map() });
    const turn = turns.get(data?.turnId);
    if (type === 'message.received') turn?.heard.push(data.message);
    if (type === 'message.completed' && data.finishReason === 'stop') {
      turn?.steps.set(data.stepIndex, data.message);
    }
  }
  return [...turns.values()].map(({ heard, steps }) => ({ heard, answers: [...steps.values()] }));
}

const textsOf = ({ heard }) => heard.flatMap((message) => message.split('\n\n'));
