import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { defineTool } from 'eve/tools';
import { z } from 'zod';

/** Takes until the test lets it end, or until its turn is cancelled. */
export default defineTool({
  description: 'Takes its time.',
  inputSchema: z.object({}),
  async execute(_input, { abortSignal }) {
    console.log('slow begins');
    while (!existsSync(process.env.LET_SLOW_END ?? '') && !abortSignal.aborted) {
      await setTimeout(20);
    }
    console.log(abortSignal.aborted ? 'slow is cancelled' : 'slow ends');
    return 'slow is done';
  },
});
