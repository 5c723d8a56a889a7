import { getHookByToken } from 'hookline';
import { defineHandler } from 'nitro/h3';
import { orNotFound } from '../../not-found';

/** What waits behind a token. */
export default defineHandler((event) =>
  orNotFound(async () => {
    const { runId, metadata } = await getHookByToken(event.context.params?.token ?? '');
    return Response.json({ runId, metadata: await metadata });
  }),
);
