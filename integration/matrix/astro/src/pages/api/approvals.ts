import { approvals } from '../../approvals';

export const prerender = false;

export async function POST({ request }: { request: Request }) {
  return Response.json(await approvals(await request.json()));
}
