import { defineEventHandler, readBody } from 'h3';
import { approvals } from '../approvals';

export default defineEventHandler(async (event) => approvals(await readBody(event)));
