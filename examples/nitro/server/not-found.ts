/** Answers 404 when nobody waits for the token; other errors stay errors. */
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
