import { approvals } from '../../../approvals';

export async function POST({ request }: { request: Request }) {
  return Response.json(await approvals(await request.json()));
}
