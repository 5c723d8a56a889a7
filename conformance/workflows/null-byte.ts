export async function nullByteWorkflow() {
  'use workflow';

  return await nullByteStep();
}

async function nullByteStep() {
  'use step';

  return 'null byte \0';
}
