/** Answers 404 if no run waits for the token. Other errors stay errors. */
export async function orNotFound(answer: () => Promise<Response>): Promise<Response> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof Error && error.name === 'HookNotFoundError') {
      return Response.json({ error: 'Hook not found' }, { status: 404 });
    }
    throw error;
  }
}
