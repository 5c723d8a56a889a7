import { defineWorkflowTool } from 'eve/tools';
import { sleep } from 'workflow';
import { z } from 'zod';

export default defineWorkflowTool({
  description: 'A workflow as a tool.',
  inputSchema: z.object({}),
  async execute() {
    'use workflow';
    await note('pause begins');
    await sleep('1s');
    await note('pause ends');
    return 'paused';
  },
});

async function note(text: string) {
  'use step';
  console.log(text);
}
