import { withHookline } from 'hookline/next';
import type { NextConfig } from 'next';
import { withWorkflow } from 'workflow/next';

const config: NextConfig = {};

export default withWorkflow(withHookline(config));
