import { withHookline } from 'hookline/next';
import type { NextConfig } from 'next';
import { withWorkflow } from 'workflow/next';

const nextConfig: NextConfig = {};

export default withWorkflow(withHookline(nextConfig));
