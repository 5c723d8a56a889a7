import { createFileRoute } from '@tanstack/react-router';
import { approvals } from '../../approvals';

export const Route = createFileRoute('/api/approvals')({
  server: {
    handlers: {
      POST: async ({ request }) => Response.json(await approvals(await request.json())),
    },
  },
});
