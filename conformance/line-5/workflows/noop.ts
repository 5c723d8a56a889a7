/** 20 steps at once: each must be counted. */
export async function brokenWf() {
  'use workflow';

  return { numbers: await Promise.all(Array.from({ length: 20 }, (_, n) => noop(n))) };
}

let calls = 0;

async function noop(_n: number) {
  'use step';

  calls += 1;
  return calls;
}
