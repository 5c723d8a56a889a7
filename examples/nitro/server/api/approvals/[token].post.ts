import { resumeHook } from 'hookline';
import { defineHandler } from 'nitro/h3';
import { orNotFound } from '../../not-found';

/** Decides: `{ "approved": true, "by": "Ada" }`. The answer is on disk when this responds. */
export default defineHandler((event) =>
  orNotFound(async () => {
    const decision = (await event.req.json()) as { approved: boolean; by: string };
    const { runId } = await resumeHook(event.context.params?.token ?? '', decision);
    return Response.json({ runId });
  }),
);
