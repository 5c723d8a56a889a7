'use server';

import { resumeHook, start } from 'hookline';
import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { approval, type Decision } from '@/workflows/approval';

/** Starts a workflow, and shows it. */
export async function ask(form: FormData) {
  const run = await start(approval, [
    {
      title: String(form.get('title')),
      amount: Number(form.get('amount')),
      requester: String(form.get('requester')),
    },
  ]);
  redirect(`/runs/${run.runId}`);
}

/** Resumes the workflow that waits; an answer is on disk when this returns. */
export async function decide(_before: string, form: FormData): Promise<string> {
  const token = String(form.get('token'));
  const approved = form.get('decision') === 'approve';
  let runId: string;
  try {
    const hook = await resumeHook<Decision>(token, { approved, by: 'Ada' });
    runId = hook.runId;
  } catch (error) {
    if (error instanceof Error && error.name === 'HookNotFoundError') {
      return 'Somebody else has decided already.';
    }
    throw error;
  }
  revalidatePath('/');
  redirect(`/runs/${runId}`);
}
