import { getHookByToken, type Hook } from 'hookline';
import { getWorld } from 'workflow/runtime';
import type { ApprovalRequest } from '@/workflows/approval';

/** A workflow that waits for a decision. */
export interface PendingApproval extends ApprovalRequest {
  runId: string;
  /** The secret that resumes it: only for those who may decide. */
  token: string;
  /** The secret of the page that approves it: for a mail to the one who may. */
  link: string;
  createdAt: Date;
}

/** How many are listed at most. */
const LISTED = 50;

/** What waits for a decision, newest first. */
export async function pendingApprovals(runId?: string): Promise<PendingApproval[]> {
  const { data } = await getWorld().hooks.list({
    runId,
    pagination: { limit: LISTED, sortOrder: 'desc' },
  });
  const hooks = await Promise.all(data.map(({ token }) => getHookByToken(token).catch(() => null)));
  return hooks.filter((hook) => hook !== null && isApproval(hook)).map(toApproval);
}

/** What a link approves, while it waits for that. */
export async function approvalByLink(link: string): Promise<PendingApproval | undefined> {
  const webhook = await getHookByToken(link).catch(() => null);
  const approvals = webhook ? await pendingApprovals(webhook.runId) : [];
  return approvals.find((approval) => approval.link === link);
}

/** Other hooks, such as those behind the links, have no such metadata. */
function isApproval(hook: Hook | null): hook is Hook {
  return typeof hook?.metadata?.title === 'string';
}

function toApproval(hook: Hook | null): PendingApproval {
  const { runId, token, createdAt, metadata } = hook as Hook;
  return { runId, token, createdAt, ...(metadata as ApprovalRequest & { link: string }) };
}
