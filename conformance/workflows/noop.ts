/** 10 steps at once, then 100 at once: each must be counted, none twice in the result. */
export async function brokenWf() {
  'use workflow';

  const few = await Promise.all(Array.from({ length: 10 }, (_, n) => noop(n)));
  const many = await Promise.all(Array.from({ length: 100 }, (_, n) => noop(1000 + n)));
  return { numbers: [...few, ...many] };
}

let calls = 0;

async function noop(_n: number) {
  'use step';

  calls += 1;
  return calls;
}
