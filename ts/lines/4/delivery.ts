/** Line 4 in a delivery: its queues, its steps, and what the errors of its runtime mean. */
import type { DeliveryRules } from '../line';
import { expectStrayDivergence } from '../stray-divergence';
import { misfitOf } from './code-mismatch';
import { endOf, isFinal } from './endings';
import { isLoadedHere, prefixes, queueFor } from './queues';

/** See `DeliveryRules`. */
export const delivery: DeliveryRules = {
  prefixes,
  queueFor,
  isLoadedHere,
  misfitOf(event) {
    const misfit = misfitOf(event);
    if (misfit?.isMissing) expectStrayDivergence();
    return misfit?.reason;
  },
  isFinal,
  endOf,
};
