import { resumeHook } from 'hookline';

export async function POST(request: Request) {
  const { token, data } = await request.json();
  try {
    const hook = await resumeHook(token, data);
    return Response.json({ runId: hook.runId });
  } catch (error) {
    if (error instanceof Error && error.name === 'HookNotFoundError') {
      return Response.json({ error: 'Hook not found' }, { status: 404 });
    }
    return Response.json({ error: 'Failed to resume hook' }, { status: 500 });
  }
}
