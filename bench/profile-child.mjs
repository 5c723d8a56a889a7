/** One process whose pieces of a resumeHook are timed: the addon's calls and the serializer. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { measure, PAYLOAD, park, tokens } from './load.mjs';
import { obey } from './rpc.mjs';

const require = createRequire(import.meta.url);
const [url, sizeText] = process.argv.slice(2);
const size = Number(sizeText);

/** Milliseconds of the pieces of the call that is under way; only one is when they are read. */
const took = { lookUp: 0, dehydrate: 0, submit: 0, settle: 0 };

timeAddon(require('../native/binding.js').NativeWorld.prototype);
timeSerializer(require.resolve('../dist/sdk-4.js'));
const { default: hookline, resumeHook } = await import('../dist/index.mjs');

const world = hookline({ url });
globalThis[Symbol.for('@workflow/world//cache')] = world;
const nextToken = tokens(size);

obey({ park: () => park(world, size), split }, () => world.close());

async function split({ count }) {
  const samples = { total: [], lookUp: [], dehydrate: [], submit: [], settle: [], rest: [] };
  for (let done = 0; done < count; done += 1) {
    const called = performance.now();
    await resumeHook(nextToken(), PAYLOAD);
    const total = performance.now() - called;
    const { lookUp, dehydrate, submit, settle } = took;
    const rest = total - lookUp - dehydrate - submit - settle;
    for (const [part, ms] of Object.entries({ total, ...took, rest })) samples[part].push(ms);
  }
  const [jsBefore, allBefore] = [cpuOfMainThread(), process.cpuUsage()];
  const { perSecond } = await measure(128, count, () => resumeHook(nextToken(), PAYLOAD));
  const all = process.cpuUsage(allBefore);
  const jsUs = (cpuOfMainThread() - jsBefore) / count;
  return {
    single: Object.fromEntries(Object.entries(samples).map(([part, ms]) => [part, quantiles(ms)])),
    many: { perSecond, cpuUs: jsUs },
    writer: { cpuUs: (all.user + all.system) / count - jsUs },
  };
}

function timeAddon(methods) {
  const { hookForResume, resumeHook: resume } = methods;
  methods.hookForResume = function timed(...values) {
    const began = performance.now();
    const reply = hookForResume.apply(this, values);
    took.lookUp = performance.now() - began;
    return reply;
  };
  methods.resumeHook = async function timed(...values) {
    const began = performance.now();
    const reply = resume.apply(this, values);
    const submitted = performance.now();
    took.submit = submitted - began;
    const answer = await reply;
    took.settle = performance.now() - submitted;
    return answer;
  };
}

// The package requires its serializer at the first use, and finds this one then.
function timeSerializer(path) {
  const sdk = require(path);
  require.cache[path].exports = {
    ...sdk,
    async dehydrateStepReturnValue(...values) {
      const began = performance.now();
      const value = await sdk.dehydrateStepReturnValue(...values);
      took.dehydrate = performance.now() - began;
      return value;
    },
  };
}

/** Microseconds that the main thread has computed; 0 where there is no /proc. */
function cpuOfMainThread() {
  const [main] = taskIds();
  if (!main) return 0;
  const [nanoseconds] = readFileSync(`/proc/self/task/${main}/schedstat`, 'utf8').split(' ');
  return Number(nanoseconds) / 1000;
}

function taskIds() {
  try {
    return readdirSync('/proc/self/task').filter((id) => Number(id) === process.pid);
  } catch {
    return [];
  }
}

function quantiles(ms) {
  const us = ms.map((value) => value * 1000).sort((a, b) => a - b);
  return { p50: us[Math.floor(us.length * 0.5)], p99: us[Math.floor(us.length * 0.99)] };
}
