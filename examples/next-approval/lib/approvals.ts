import { getHookByToken, type Hook } from 'hookline';
import { getWorld } from 'workflow/runtime';
import type { ApprovalRequest } from '@/workflows/approval';

/** A workflow that waits for a decision. */
export interface PendingApproval extends ApprovalRequest {
  runId: string;
  /** The secret that resumes it: only for those who may decide. */
  token: string;
  link: string;
  createdAt: Date;
}

/** How many are listed at most. */
const LISTED = 50;

/** What waits for a decision, newest first. */
export async function pendingApprovals(): Promise<PendingApproval[]> {
  const { data } = await getWorld().hooks.list({
    pagination: { limit: LISTED, sortOrder: 'desc' },
  });
  const hooks = await Promise.all(data.map(({ token }) => getHookByToken(token).catch(() => null)));
  return hooks.filter((hook) => hook !== null && isApproval(hook)).map(toApproval);
}

/** Other hooks, such as those behind the links, have no such metadata. */
function isApproval(hook: Hook | null): hook is Hook {
  return typeof hook?.metadata?.title === 'string';
}

function toApproval(hook: Hook | null): PendingApproval {
  const { runId, token, createdAt, metadata } = hook as Hook;
  return { runId, token, createdAt, ...(metadata as ApprovalRequest & { link: string }) };
}
