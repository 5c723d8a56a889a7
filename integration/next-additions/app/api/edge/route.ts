import { getHookByToken, HookNotFoundError } from 'hookline';

export const runtime = 'edge';

/** What a function of hookline says where there is no Node. */
export async function GET() {
  try {
    await getHookByToken('token');
  } catch (error) {
    const isMissing = HookNotFoundError.is(error);
    return Response.json({ isMissing, message: error instanceof Error ? error.message : '' });
  }
}
