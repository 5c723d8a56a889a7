import { getHookByToken } from 'hookline';
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
  const world = await getWorld();
  const { data } = await world.hooks.list({
    runId,
    pagination: { limit: LISTED, sortOrder: 'desc' },
  });
  const found = await Promise.all(data.map(({ token }) => approvalOf(token).catch(() => null)));
  return found.filter((approval) => approval !== null);
}

/** What a link approves, while it waits for that. */
export async function approvalByLink(link: string): Promise<PendingApproval | undefined> {
  const webhook = await getHookByToken(link).catch(() => null);
  const approvals = webhook ? await pendingApprovals(webhook.runId) : [];
  return approvals.find((approval) => approval.link === link);
}

/** Other hooks, such as those behind the links, have no such metadata, and are none. */
async function approvalOf(token: string): Promise<PendingApproval | null> {
  const { runId, createdAt, metadata } = await getHookByToken(token);
  // Of workflow 5 the metadata is a promise.
  const request = (await metadata) as (ApprovalRequest & { link: string }) | undefined;
  return typeof request?.title === 'string' ? { runId, token, createdAt, ...request } : null;
}
