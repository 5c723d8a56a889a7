/** Where the time of one resumeHook goes, seen from JavaScript. */
import { startChild } from './rpc.mjs';

const CALLS = 2000;

const PARTS = [
  ['total', 'resumeHook, call to settled'],
  ['lookUp', '  native look-up of hook and run (on the JavaScript thread)'],
  ['dehydrate', "  the SDK's serializer (dehydrate, awaited)"],
  ['submit', '  native call of the resume, until it returns its promise'],
  ['settle', '  from there to settled: writer thread, commit, way back'],
  ['rest', '  the rest: TypeScript, JSON, promises'],
];

export async function profile(folder, size) {
  const child = startChild('profile-child.mjs', [`${folder}/profile-${size}.db`, String(size)]);
  try {
    await child.tell('park');
    await child.tell('split', { count: CALLS });
    return await child.tell('split', { count: CALLS });
  } finally {
    await child.stop();
  }
}

export function printProfile(size, { single, many, writer }) {
  console.log(`\n${size.toLocaleString('en')} stored hooks, ${CALLS} calls, microseconds`);
  console.log(`${''.padEnd(64)} ${'p50'.padStart(8)} ${'p99'.padStart(8)}`);
  for (const [part, name] of PARTS) {
    const { p50, p99 } = single[part];
    console.log(`${name.padEnd(64)} ${p50.toFixed(1).padStart(8)} ${p99.toFixed(1).padStart(8)}`);
  }
  console.log(
    `128 in flight: ${many.perSecond.toFixed(0)}/s, ${(1e6 / many.perSecond).toFixed(1)} us each; ` +
      `of that the JavaScript thread computes ${many.cpuUs.toFixed(1)} us and all other threads ` +
      `${writer.cpuUs.toFixed(1)} us`,
  );
}
