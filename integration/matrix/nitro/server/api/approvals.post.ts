import { defineHandler } from 'nitro';
import { approvals } from '../../approvals';

export default defineHandler(async ({ req }) => approvals(await req.json()));
