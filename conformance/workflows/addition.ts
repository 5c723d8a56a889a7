export async function addition(left: number, right: number) {
  'use workflow';

  return await add(left, right);
}

async function add(left: number, right: number) {
  'use step';

  return left + right;
}
