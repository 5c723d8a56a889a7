import { Body, Controller, Post } from '@nestjs/common';
import { approvals } from './approvals.js';

@Controller()
export class AppController {
  @Post('api/approvals')
  approvals(@Body() body: { invoice: string; approved?: boolean }) {
    return approvals(body);
  }
}
