/** What only workflow 4 has. */
import { createWorld, runStep } from 'hookline';
import type * as api from 'workflow/api';
import type { getWorld } from 'workflow/runtime';

type SdkWorld = ReturnType<typeof getWorld>;

createWorld() satisfies Required<Pick<SdkWorld, 'writeToStreamMulti'>>;
runStep satisfies typeof api.runStep;
