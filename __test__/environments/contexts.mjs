// Two realms in one process, as two test files under Jest are: each evaluates the package anew, and
// both use one addon and one database.
//
//   node contexts.mjs <folder>

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import vm from 'node:vm';
import { seed, useDatabase } from '../bad-input/resume.mjs';

const entry = createRequire(import.meta.url).resolve('hookline');
const world = useDatabase(join(process.argv[2], 'hookline.db'));
const runId = await seed(world, 'token');
const report = [];

for (let round = 0; round < 5; round += 1) {
  report.push(...(await Promise.all([useRealm(), useRealm()])));
}
const { data } = await world.events.list({ runId });
const received = data.filter((event) => event.eventType === 'hook_received').length;
await world.close();
process.stdout.write(JSON.stringify({ report, received }));

async function useRealm() {
  const context = vm.createContext();
  const own = new Set(vm.runInContext('Object.getOwnPropertyNames(globalThis)', context));
  // The outer realm lends Node's globals to the inner one, as Jest does.
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (!own.has(name)) context[name] = globalThis[name];
  }
  const { createWorld, resumeHook } = evaluate(entry, context);
  const RealmError = vm.runInContext('Error', context);
  const RealmDate = vm.runInContext('Date', context);
  const mine = createWorld();
  const hook = await resumeHook('token', { round: 1 });
  const missing = await resumeHook('nobody', 1).catch((error) => error);
  await mine.runs.list();
  await mine.close();
  const closed = await mine.runs.list().catch((error) => error);
  return [
    hook.runId === runId,
    hook.createdAt instanceof RealmDate,
    missing instanceof RealmError && missing.name,
    closed instanceof RealmError && closed.code,
  ];
}

/** A file of the package in a realm, and what it requires from beside it too. */
function evaluate(file, context) {
  const outer = createRequire(file);
  const inner = (name) =>
    name.startsWith('./') ? evaluate(outer.resolve(name), context) : outer(name);
  inner.resolve = outer.resolve;
  const module = { exports: {} };
  const parameters = ['module', 'exports', 'require', '__filename', '__dirname'];
  const code = readFileSync(file, 'utf8');
  vm.compileFunction(code, parameters, { parsingContext: context, filename: file })(
    module,
    module.exports,
    inner,
    file,
    dirname(file),
  );
  return module.exports;
}
