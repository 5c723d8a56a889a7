// The suite imports `workflow/internal/serialization`, which 4.8.9 no longer exports, and calls
// it with the arguments of its time, when there was no encryption key.

import { hydrateWorkflowReturnValue as hydrate } from '@workflow/core/serialization';

export const hydrateWorkflowReturnValue = (output, operations, runId) =>
  hydrate(output, runId, undefined, operations);
